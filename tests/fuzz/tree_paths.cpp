// Fuzzing of the check of a keyword model's tree: arrays -> check -> probabilities. Paths are refused with value_error
// exactly where a slow reader finds them to be no full binary tree; otherwise the probabilities of all words sum up to
// 1. Anything else is a finding.
//
// Mutation is structure-aware: it starts from a random tree and changes a few entries or lengths. A program of its own:
//   fuzz_tree_paths [--seconds S] [--seed N] [FILE...]   (files are replayed, then random mutation); with clang and
// -DLIKEWISE_LIBFUZZER it is a libFuzzer target with the same mutator.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "driver.hpp"
#include "likewise/keywords.hpp"

using namespace likewise;
using namespace likewise::keywords;

namespace {

using fuzz::finding;
using fuzz::Random;

struct Input {
  std::uint8_t n_words = 1;
  std::vector<std::int64_t> ptr;
  std::vector<std::uint32_t> node;
  std::vector<std::uint8_t> code;

  std::vector<std::uint8_t> serialise() const {
    std::vector<std::uint8_t> out{n_words, static_cast<std::uint8_t>(ptr.size())};
    const auto append = [&](const void* p, std::size_t size) {
      const auto* const bytes = static_cast<const std::uint8_t*>(p);
      if (size != 0) out.insert(out.end(), bytes, bytes + size);
    };
    append(ptr.data(), ptr.size() * sizeof ptr[0]);
    const auto n = static_cast<std::uint32_t>(node.size());
    append(&n, sizeof n);
    append(node.data(), n * sizeof node[0]);
    append(code.data(), code.size());
    return out;
  }
  static bool parse(const std::uint8_t* bytes, std::size_t size, Input& input) {
    if (size < 2) return false;
    input.n_words = bytes[0];
    input.ptr.resize(bytes[1]);
    std::size_t at = 2, wanted = input.ptr.size() * sizeof input.ptr[0];
    std::uint32_t n = 0;
    if (size - at < wanted + sizeof n) return false;
    if (wanted != 0) std::memcpy(input.ptr.data(), bytes + at, wanted);
    at += wanted;
    std::memcpy(&n, bytes + at, sizeof n);
    at += sizeof n;
    if (n > (size - at) / sizeof input.node[0]) return false;
    input.node.resize(n);
    if (n != 0) std::memcpy(input.node.data(), bytes + at, n * sizeof input.node[0]);
    at += n * sizeof input.node[0];
    input.code.assign(bytes + at, bytes + size);
    return true;
  }
};

/// The rules, read word by word: the set of code words is prefix-free with Kraft sum 1, and a prefix names one node.
bool sound(const Input& in) {
  const std::size_t n = in.n_words;
  if (in.ptr.size() != n + 1 || in.ptr[0] != 0 || in.ptr[n] != static_cast<std::int64_t>(in.node.size())) return false;
  if (!std::is_sorted(in.ptr.begin(), in.ptr.end()) || in.code.size() != in.node.size()) return false;
  std::map<std::string, std::uint32_t> node_of;
  std::vector<std::string> words;
  for (std::size_t w = 0; w < n; ++w) {
    std::string word;
    for (auto j = static_cast<std::size_t>(in.ptr[w]); j < static_cast<std::size_t>(in.ptr[w + 1]); ++j) {
      if (in.code[j] > 1 || in.node[j] + std::uint64_t{1} >= n) return false;
      if (node_of.emplace(word, in.node[j]).first->second != in.node[j]) return false;
      word += static_cast<char>('0' + in.code[j]);
    }
    words.push_back(word);
  }
  std::sort(words.begin(), words.end());
  for (std::size_t w = 0; w + 1 < n; ++w)
    if (words[w + 1].compare(0, words[w].size(), words[w]) == 0) return false;
  long double kraft = 0;
  for (const std::string& word : words) kraft += std::ldexp(1.0L, -static_cast<int>(word.size()));
  return n > 0 && kraft == 1;  // exact: fewer than 64 words of depth below 64
}

/// A copy in memory of exactly its size, so that a sanitizer sees the first byte behind it.
template <class T>
std::unique_ptr<T[]> exact(const std::vector<T>& values) {
  std::unique_ptr<T[]> copy(new T[values.size()]);
  std::copy(values.begin(), values.end(), copy.get());
  return copy;
}

enum Outcome { kRefused, kAccepted };

Outcome run_one(const Input& in) {
  if (in.n_words == 0 || in.n_words >= 60) return kRefused;  // the model has words, and the slow reader its limits
  const auto ptr = exact(in.ptr);
  const auto node = exact(in.node);
  const auto code = exact(in.code);
  const Paths paths{{ptr.get(), in.ptr.size()}, {node.get(), in.node.size()}, {code.get(), in.code.size()}};
  try {
    check_paths(paths, in.n_words);
  } catch (const value_error&) {
    if (sound(in)) finding("a full binary tree was refused");
    return kRefused;
  }
  const std::size_t n = in.n_words, dim = 3;
  std::vector<double> vectors(n * dim), theta((n - 1) * dim), found(n);
  for (std::size_t i = 0; i < vectors.size(); ++i) vectors[i] = std::sin(static_cast<double>(i));
  for (std::size_t i = 0; i < theta.size(); ++i) theta[i] = std::cos(static_cast<double>(2 * i));
  std::vector<std::int64_t> of(n), given(n, static_cast<std::int64_t>(n / 2));
  for (std::size_t i = 0; i < n; ++i) of[i] = static_cast<std::int64_t>(i);
  log_probabilities(TreeModel<double>{vectors.data(), theta.data(), n, dim, paths}, of, given, found.data(), 1);
  if (!sound(in)) finding("what is no full binary tree was accepted");
  double sum = 0;
  for (const double value : found) sum += std::exp(value);
  if (!(std::abs(sum - 1) < 1e-12)) finding("probabilities do not sum up to 1");
  return kAccepted;
}

Input sound_input(Random& random) {
  struct Leaf {
    std::vector<std::uint32_t> nodes;
    std::vector<std::uint8_t> codes;
  };
  std::vector<Leaf> leaves(1);
  const std::size_t n = 1 + random() % 50;
  for (std::uint32_t inner = 0; leaves.size() < n; ++inner) {
    std::swap(leaves[random() % leaves.size()], leaves.back());
    Leaf one = leaves.back();
    leaves.back().nodes.push_back(inner);
    leaves.back().codes.push_back(0);
    one.nodes.push_back(inner);
    one.codes.push_back(1);
    leaves.push_back(one);
  }
  Input in;
  in.n_words = static_cast<std::uint8_t>(n);
  in.ptr.push_back(0);
  for (const Leaf& leaf : leaves) {
    in.node.insert(in.node.end(), leaf.nodes.begin(), leaf.nodes.end());
    in.code.insert(in.code.end(), leaf.codes.begin(), leaf.codes.end());
    in.ptr.push_back(static_cast<std::int64_t>(in.node.size()));
  }
  return in;
}

/// Changes one entry, or the length of one array.
void mutate(Input& in, Random& random) {
  const auto size = static_cast<std::int64_t>(in.node.size());
  const std::int64_t values[] = {-1, 0, 1, size - 1, size, size + 1, INT64_MAX, INT64_MIN, std::int64_t{1} << 32};
  switch (random() % 7) {
    case 0:
      if (!in.ptr.empty()) in.ptr[random() % in.ptr.size()] = values[random() % std::size(values)];
      break;
    case 1:
      if (!in.node.empty())
        in.node[random() % in.node.size()] =
            random() % 4 == 0 ? static_cast<std::uint32_t>(random()) : static_cast<std::uint32_t>(random() % (in.n_words + 1u));
      break;
    case 2:
      if (!in.code.empty()) in.code[random() % in.code.size()] ^= static_cast<std::uint8_t>(random() % 4 == 0 ? 2 : 1);
      break;
    case 3:
      if (!in.ptr.empty()) in.ptr.pop_back();
      break;
    case 4:
      in.code.push_back(static_cast<std::uint8_t>(random() % 2));
      if (random() % 2 == 0) in.node.push_back(static_cast<std::uint32_t>(random() % 60));
      if (random() % 2 == 0 && !in.ptr.empty() && in.ptr.back() < INT64_MAX) ++in.ptr.back();
      break;
    case 5:
      if (!in.node.empty()) in.node.pop_back();
      if (random() % 2 == 0 && !in.code.empty()) in.code.pop_back();
      break;
    default: in.n_words = static_cast<std::uint8_t>(in.n_words + (random() % 2 == 0 ? 1 : -1)); break;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input;
  if (Input::parse(data, size, input)) run_one(input);
  return 0;
}

#if defined(LIKEWISE_LIBFUZZER)
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t capacity,
                                               unsigned seed) {
  return fuzz::mutate_bytes<Input>(data, size, capacity, seed, sound_input, mutate);
}
#else
int main(int n_arguments, char** arguments) {
  const fuzz::Options options = fuzz::read_options(n_arguments, arguments, LLVMFuzzerTestOneInput);
  fuzz::run_mutants(options, "fuzz_tree_paths.last", {"refused", "accepted and in agreement"}, kAccepted, sound_input,
                    mutate, run_one);
}
#endif

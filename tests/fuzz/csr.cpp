// Fuzzing of the wall before projections of sparse rows: arrays -> checks -> images. An input is refused with
// value_error exactly where a slow reader of the same arrays finds a broken rule, or its images agree with the slow
// reader's; anything else (a sanitizer's report, another exception, a difference) is a finding.
//
// Mutation is structure-aware: it starts from sound arrays and changes a few entries or lengths. A program of its own:
//   fuzz_csr [--seconds S] [--seed N] [FILE...]   (files are replayed, then random mutation); with clang and
// -DLIKEWISE_LIBFUZZER it is a libFuzzer target with the same mutator.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "driver.hpp"
#include "likewise/projection.hpp"

using namespace likewise;
using namespace likewise::projection;

namespace {

using fuzz::finding;
using fuzz::Random;

constexpr std::uint64_t kFeatures[] = {1, 20, 300, 1000};
const Method kMethods[] = {Method::hadamard,    Method::sjlt,       Method::sjlt,     Method::countsketch,
                           Method::very_sparse, Method::achlioptas, Method::gaussian, Method::srht};

struct Input {
  std::uint8_t matrix = 0, widths = 0;  // which S; bit 0: 64-bit indices, bit 1: 64-bit offsets
  std::vector<std::int64_t> indptr, indices;
  std::vector<float> data;

  std::vector<std::uint8_t> serialise() const {
    std::vector<std::uint8_t> out{matrix, widths};
    const auto put = [&](const auto& values) {
      const std::uint64_t n = values.size();
      const auto append = [&](const void* p, std::size_t size) {
        const auto* const bytes = static_cast<const std::uint8_t*>(p);
        if (size != 0) out.insert(out.end(), bytes, bytes + size);
      };
      append(&n, sizeof n);
      append(values.data(), n * sizeof values[0]);
    };
    put(indptr);
    put(indices);
    put(data);
    return out;
  }
  static bool parse(const std::uint8_t* bytes, std::size_t size, Input& input) {
    if (size < 2) return false;
    input.matrix = bytes[0];
    input.widths = bytes[1];
    std::size_t at = 2;
    const auto get = [&](auto& values) {
      std::uint64_t n = 0;
      if (size - at < sizeof n) return false;
      std::memcpy(&n, bytes + at, sizeof n);
      at += sizeof n;
      if (n > (size - at) / sizeof values[0]) return false;
      values.resize(n);
      if (n != 0) std::memcpy(values.data(), bytes + at, n * sizeof values[0]);
      at += n * sizeof values[0];
      return true;
    };
    return get(input.indptr) && get(input.indices) && get(input.data);
  }
};

/// Each S and its entries, made once.
struct Matrix {
  std::unique_ptr<Projection> projection;
  std::vector<float> columns;
  std::size_t d, k;
};
const Matrix& matrix_of(std::uint8_t number) {
  static std::array<Matrix, std::size(kFeatures) * std::size(kMethods)> all;
  const std::size_t which = number % all.size();
  Matrix& m = all[which];
  if (!m.projection) {
    Parameters p;
    p.method = kMethods[which % std::size(kMethods)];
    p.n_features = kFeatures[which / std::size(kMethods)];
    p.n_components = p.method == Method::srht ? 1 : 48;
    p.seed = number;
    p.nnz = which % std::size(kMethods) == 1 ? 16 : 3;
    p.density = 0.1;
    m.projection = std::make_unique<Projection>(p);
    m.d = p.n_features;
    m.k = p.n_components;
    m.columns.resize(m.d * m.k);
    m.projection->columns(0, m.d, m.columns.data());
  }
  return m;
}

/// Whether these arrays are rows of a matrix of d columns.
bool sound(const Input& in, std::size_t d) {
  if (in.indptr.empty() || in.indptr.front() != 0 || in.indices.size() != in.data.size()) return false;
  if (in.indptr.back() != static_cast<std::int64_t>(in.indices.size())) return false;
  if (!std::is_sorted(in.indptr.begin(), in.indptr.end())) return false;
  return std::all_of(in.indices.begin(), in.indices.end(),
                     [&](std::int64_t i) { return i >= 0 && i < static_cast<std::int64_t>(d); });
}

/// A copy in memory of exactly its size, so that a sanitizer sees the first byte behind it.
template <class T, class U>
std::unique_ptr<T[]> exact(const std::vector<U>& values) {
  std::unique_ptr<T[]> copy(new T[values.size()]);
  std::transform(values.begin(), values.end(), copy.get(), [](U value) { return static_cast<T>(value); });
  return copy;
}

enum Outcome { kRefused, kAccepted };

template <class Index, class Offset>
Outcome run(const Input& in, const Matrix& m) {
  const auto indptr = exact<Offset>(in.indptr);
  const auto indices = exact<Index>(in.indices);
  const auto data = exact<float>(in.data);
  Input seen = in;  // what is left of the numbers in their width
  std::copy_n(indptr.get(), in.indptr.size(), seen.indptr.begin());
  std::copy_n(indices.get(), in.indices.size(), seen.indices.begin());
  CsrRows<float, Index, Offset> rows;
  rows.indptr = {indptr.get(), in.indptr.size()};
  rows.indices = {indices.get(), in.indices.size()};
  rows.data = {data.get(), in.data.size()};
  const std::size_t n = in.indptr.empty() ? 0 : in.indptr.size() - 1;
  const std::unique_ptr<float[]> out(new float[n * m.k]);
  try {
    m.projection->transform(rows, out.get(), 1);
  } catch (const value_error&) {
    if (sound(seen, m.d)) finding("sound rows were refused");
    return kRefused;
  }
  if (!sound(seen, m.d)) finding("rows that break the rules were accepted");
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < m.k; ++j) {
      double expected = 0, size = 0;
      for (auto e = static_cast<std::size_t>(seen.indptr[i]); e < static_cast<std::size_t>(seen.indptr[i + 1]); ++e) {
        const double term = double{in.data[e]} * m.columns[static_cast<std::size_t>(seen.indices[e]) * m.k + j];
        expected += term;
        size += std::fabs(in.data[e]);
      }
      if (!(std::fabs(out[i * m.k + j] - expected) <= 1e-4 * size)) finding("an image differs from the slow reader's");
    }
  return kAccepted;
}

Outcome run_one(const Input& in) {
  const Matrix& m = matrix_of(in.matrix);
  for (const float value : in.data)
    if (!(std::fabs(value) < 1e6f)) return kRefused;  // values are the Python layer's to check
  switch (in.widths % 4) {
    case 0: return run<std::int32_t, std::int32_t>(in, m);
    case 1: return run<std::int64_t, std::int32_t>(in, m);
    case 2: return run<std::int32_t, std::int64_t>(in, m);
    default: return run<std::int64_t, std::int64_t>(in, m);
  }
}

Input sound_input(Random& random) {
  Input in;
  in.matrix = static_cast<std::uint8_t>(random());
  in.widths = static_cast<std::uint8_t>(random());
  const std::size_t d = matrix_of(in.matrix).d;
  in.indptr.push_back(0);
  for (std::size_t i = 0, n = random() % 12; i < n; ++i) {
    for (std::size_t e = 0, count = random() % 40 == 0 ? 2500 : random() % 9; e < count; ++e) {
      in.indices.push_back(static_cast<std::int64_t>(random() % d));
      in.data.push_back(static_cast<float>(random() % 2001) / 1000 - 1);
    }
    in.indptr.push_back(static_cast<std::int64_t>(in.indices.size()));
  }
  return in;
}

/// Changes one entry or the length of one array.
void mutate(Input& in, Random& random) {
  const auto d = static_cast<std::int64_t>(matrix_of(in.matrix).d), n = static_cast<std::int64_t>(in.indices.size());
  const std::int64_t values[] = {-1,        0,         1,         d - 1,
                                 d,         d + 1,     n - 1,     n,
                                 n + 1,     INT32_MAX, INT32_MIN, std::int64_t{1} << 32,
                                 INT64_MAX, INT64_MIN, static_cast<std::int64_t>(random())};
  std::vector<std::int64_t>& array = random() % 2 == 0 ? in.indptr : in.indices;
  switch (array.empty() ? 4 + random() % 2 : random() % 6) {
    case 0: array[random() % array.size()] = values[random() % std::size(values)]; break;
    case 1: array.back() = values[random() % std::size(values)]; break;
    case 2: {  // without a sign: the limits may be there, to which one more is added
      std::int64_t& value = array[random() % array.size()];
      const std::uint64_t step = random() % 2 == 0 ? 1 : ~std::uint64_t{0};
      value = static_cast<std::int64_t>(static_cast<std::uint64_t>(value) + step);
      break;
    }
    case 3: array.pop_back(); break;
    case 4: array.push_back(values[random() % std::size(values)]); break;
    default: random() % 2 == 0 || in.data.empty() ? in.data.push_back(1) : in.data.pop_back(); break;
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
  fuzz::run_mutants(options, "fuzz_csr.last", {"refused", "accepted and in agreement"}, kAccepted, sound_input, mutate, run_one);
}
#endif

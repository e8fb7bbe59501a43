// What the fuzzing programs share: options, replayed files, the loop of mutation, and libFuzzer's two entry points. A
// target has an Input with parse and serialise, sound_input(random), mutate(input, random) and run_one(input).
#pragma once
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

namespace likewise::fuzz {

using Random = std::mt19937_64;

[[noreturn]] inline void finding(const char* what) {
  std::fprintf(stderr, "finding: %s\n", what);
  std::abort();
}

template <class Input, class Mutate>
void mutate_some(Input& input, Random& random, const Mutate& mutate) {
  for (std::uint64_t i = 0, n = 1 + random() % 3; i < n; ++i) mutate(input, random);
}

/// libFuzzer's custom mutator: bytes that are no input, and now and then others too, start anew from a sound one.
template <class Input, class Sound, class Mutate>
std::size_t mutate_bytes(std::uint8_t* data, std::size_t size, std::size_t capacity, unsigned seed, const Sound& sound,
                         const Mutate& mutate) {
  Random random(seed);
  Input input;
  if (random() % 50 == 0 || !Input::parse(data, size, input)) input = sound(random);
  mutate_some(input, random, mutate);
  const std::vector<std::uint8_t> bytes = input.serialise();
  if (bytes.size() > capacity) return size;
  std::copy(bytes.begin(), bytes.end(), data);
  return bytes.size();
}

struct Options {
  double seconds = 5;
  std::uint64_t seed = 1;
  bool keep = false;  // whether each input is written to a file before it runs
};

/// Everything that is no option names a file, which is handed to `replay`.
template <class Replay>
Options read_options(int n_arguments, char** arguments, const Replay& replay) {
  Options options;
  for (int i = 1; i < n_arguments; ++i) {
    const std::string argument = arguments[i];
    if (argument == "--seconds" && i + 1 < n_arguments) {
      options.seconds = std::strtod(arguments[++i], nullptr);
    } else if (argument == "--seed" && i + 1 < n_arguments) {
      options.seed = std::strtoull(arguments[++i], nullptr, 10);
    } else if (argument == "--keep") {
      options.keep = true;
    } else {
      std::ifstream file(argument, std::ios::binary);
      const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
      std::printf("replay %s\n", argument.c_str());
      replay(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    }
  }
  return options;
}

/// Runs a sound input and 20 mutants of it, again and again, until the time is over. `run_one` says how an input ended
/// (a number below kOutcomes); prints the counts under those names. `last`: the file that --keep writes.
template <std::size_t kOutcomes, class Sound, class Mutate, class Run>
void run_mutants(const Options& options, const char* last, const char* const (&names)[kOutcomes], std::size_t accepted,
                 const Sound& sound, const Mutate& mutate, const Run& run_one) {
  const auto stop = std::chrono::steady_clock::now() + std::chrono::duration<double>(options.seconds);
  std::uint64_t runs = 0, outcomes[kOutcomes] = {};
  while (std::chrono::steady_clock::now() < stop) {
    Random random(options.seed + runs);  // each run by its own number: a finding is repeated by --seed
    const auto base = sound(random);
    if (run_one(base) != accepted) finding("a sound input was refused");
    for (int i = 0; i < 20; ++i) {
      auto input = base;
      mutate_some(input, random, mutate);
      if (options.keep) {
        const std::vector<std::uint8_t> bytes = input.serialise();
        std::ofstream(last, std::ios::binary)
            .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
      }
      ++outcomes[run_one(input)];
    }
    ++runs;
  }
  std::printf("%llu inputs, %llu mutants:", static_cast<unsigned long long>(runs),
              static_cast<unsigned long long>(20 * runs));
  for (std::size_t i = 0; i < kOutcomes; ++i)
    std::printf(" %llu %s%s", static_cast<unsigned long long>(outcomes[i]), names[i], i + 1 < kOutcomes ? "," : "\n");
}

}  // namespace likewise::fuzz

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "core/thread_pool.hpp"
#include "core/transport/documents.hpp"

namespace likewise::transport {
namespace {

constexpr double kNoMass = 1e-14;  // what rounding leaves of weights that cancel

template <class T>
T largest_magnitude(const T* x, std::size_t n) {
  T lanes[16] = {};
  std::size_t i = 0;
  for (; i + 16 <= n; i += 16)
    for (std::size_t c = 0; c < 16; ++c) lanes[c] = std::max(lanes[c], std::abs(x[i + c]));
  for (; i < n; ++i) lanes[0] = std::max(lanes[0], std::abs(x[i]));
  return *std::max_element(std::begin(lanes), std::end(lanes));
}

/// A power of two that brings a magnitude into [1, 2); its exponent.
template <class T>
int exponent_of(T magnitude) {
  return magnitude > 0 ? std::ilogb(magnitude) : 0;
}

template <class T>
void scale_row(const T* x, std::size_t n, int exponent, T* out) {
  if (exponent == 0) {
    std::copy(x, x + n, out);
    return;
  }
  constexpr int kSafe = sizeof(T) == 4 ? 100 : 1000;  // beyond, the factor itself has no representation
  if (std::abs(exponent) > kSafe) {
    for (std::size_t i = 0; i < n; ++i) out[i] = std::ldexp(x[i], -exponent);
    return;
  }
  const T factor = std::ldexp(T(1), -exponent);
  for (std::size_t i = 0; i < n; ++i) out[i] = x[i] * factor;
}

/// Returns whether the row has a direction; zeros stay as they are.
template <class T>
bool normalize_row(const T* x, std::size_t n, T* out) {
  const auto sum_of_squares = [&] {
    if constexpr (sizeof(T) == 4) {
      return kernel_table().emo.f32.sum_of_squares(x, n);
    } else {
      return kernel_table().emo.f64.sum_of_squares(x, n);
    }
  };
  double squares = sum_of_squares();
  if (sizeof(T) == 8 && !(squares > 0x1p-900 && squares < 0x1p900)) {  // squares of float32 always fit float64
    scale_row(x, n, exponent_of(largest_magnitude(x, n)), out);
    x = out;
    squares = sum_of_squares();
  }
  document_kernels<T>().multiply(x, n, squares > 0 ? 1.0 / std::sqrt(squares) : 1.0, out);
  return squares > 0;
}

}  // namespace

template <class T>
int prepare_vectors(const T* vectors, std::size_t n, std::size_t dim, bool normalize, T* out, unsigned n_threads) {
  constexpr std::size_t kRows = 256;
  const int exponent = normalize ? 0 : exponent_of(largest_magnitude(vectors, n * dim));
  parallel_for((n + kRows - 1) / kRows, n_threads, [&](std::size_t block) {
    poll_interrupt();
    for (std::size_t i = block * kRows; i < std::min(n, (block + 1) * kRows); ++i) {
      if (normalize) {
        normalize_row(vectors + i * dim, dim, out + i * dim);
      } else {
        scale_row(vectors + i * dim, dim, exponent, out + i * dim);
      }
    }
  });
  return exponent;
}

Words distinct_words(const Bag& bag, std::size_t n_words, const char* argument) {
  const std::string name(argument);
  if (bag.counts.size != 0 && bag.counts.size != bag.words.size)
    throw value_error(name + ": expected one count a word, got " + std::to_string(bag.counts.size) + " counts of " +
                      std::to_string(bag.words.size) + " words");
  std::vector<std::pair<std::int64_t, double>> all(bag.words.size);
  double sum = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    all[i] = {bag.words[i], bag.counts.size == 0 ? 1.0 : bag.counts[i]};  // first: the caller's array may change
    if (all[i].first < 0 || static_cast<std::uint64_t>(all[i].first) >= n_words)
      throw value_error(name + ": expected words from 0 to " + std::to_string(n_words) + " - 1, got " +
                        std::to_string(all[i].first) + " at position " + std::to_string(i));
    if (!(all[i].second >= 0) || !std::isfinite(all[i].second))
      throw value_error(name + ": expected finite counts >= 0, got another at position " + std::to_string(i));
    sum += all[i].second;
  }
  if (!(sum > 0)) throw value_error(name + ": expected a document with words, got none");
  std::stable_sort(all.begin(), all.end(), [](const auto& x, const auto& y) { return x.first < y.first; });
  Words found;
  double total = 0;
  for (const auto& [word, count] : all) {
    if (count == 0) continue;
    const double scaled = std::isfinite(sum) ? count : count / static_cast<double>(all.size()) / 2;
    total += scaled;
    if (!found.words.empty() && found.words.back() == word) {
      found.weights.back() += scaled;
    } else {
      found.words.push_back(word);
      found.weights.push_back(scaled);
    }
  }
  for (double& w : found.weights) w /= total;
  return found;
}

template <class T>
QueryColumns<T>::QueryColumns(const T* vectors, std::size_t dim, const Words& query)
    : n(query.words.size()),
      stride((n + kernels::kQueryLanes - 1) / kernels::kQueryLanes * kernels::kQueryLanes),
      columns(new T[dim * stride]),
      weights(stride) {
  std::copy(query.weights.begin(), query.weights.end(), weights.begin());
  std::vector<const T*> rows(stride);
  for (std::size_t i = 0; i < stride; ++i)
    rows[i] = vectors + static_cast<std::size_t>(query.words[i < n ? i : 0]) * dim;
  document_kernels<T>().columns(rows.data(), stride, dim, columns.get());
}

template <class T>
double DocumentSolver<T>::solve(const T* distances, const T* nearest, const QueryColumns<T>& query,
                                const std::int32_t* words, const double* weights, std::size_t n) {
  a_.assign(weights, weights + n);
  b_.assign(query.weights.begin(), query.weights.begin() + static_cast<std::ptrdiff_t>(query.n));
  const auto row_of = [&](std::size_t j) { return distances + static_cast<std::size_t>(words[j]) * query.stride; };
  // Distances obey the triangle inequality, so that mass at the same place may as well stay.
  for (std::size_t j = 0; j < n; ++j) {
    if (nearest[words[j]] > 0) continue;
    for (std::size_t i = 0; i < query.n; ++i)
      if (row_of(j)[i] == 0) {
        const double staying = std::min(a_[j], b_[i]);
        a_[j] -= staying;
        b_[i] -= staying;
      }
  }
  const auto keep = [](std::vector<double>& mass, std::vector<std::size_t>& kept) {
    kept.clear();
    double sum = 0;
    for (std::size_t i = 0; i < mass.size(); ++i)
      if (mass[i] > kNoMass) {
        sum += mass[i];
        mass[kept.size()] = mass[i];
        kept.push_back(i);
      }
    mass.resize(kept.size());
    return sum;
  };
  const double mass_a = keep(a_, rows_), mass_b = keep(b_, columns_);
  if (a_.empty() || b_.empty()) return 0;
  *std::max_element(b_.begin(), b_.end()) += mass_a - mass_b;
  double cost = 0;
  if (a_.size() == 1) {
    for (std::size_t i = 0; i < b_.size(); ++i) cost += b_[i] * static_cast<double>(row_of(rows_[0])[columns_[i]]);
    return cost;
  }
  if (b_.size() == 1) {
    for (std::size_t j = 0; j < a_.size(); ++j) cost += a_[j] * static_cast<double>(row_of(rows_[j])[columns_[0]]);
    return cost;
  }
  cost_.resize(a_.size() * b_.size());
  for (std::size_t j = 0; j < a_.size(); ++j) {
    const T* const row = row_of(rows_[j]);
    T* const to = cost_.data() + j * b_.size();
    if (b_.size() == query.n) {
      std::copy(row, row + query.n, to);
    } else {
      for (std::size_t i = 0; i < b_.size(); ++i) to[i] = row[columns_[i]];
    }
  }
  return simplex_.solve<T>(a_, b_, cost_.data()).cost;
}

template <class T>
double document_distance(DocumentDistance kind, span<const T> vectors, std::size_t dim, const Bag& bag_a,
                         const Bag& bag_b, bool normalize) {
  const std::size_t n_words = dim == 0 ? 0 : vectors.size / dim;
  const Words words_a = distinct_words(bag_a, n_words, "doc_a"), words_b = distinct_words(bag_b, n_words, "doc_b");
  const std::size_t n = words_a.words.size(), m = words_b.words.size();
  const std::unique_ptr<T[]> rows(new T[(n + m) * dim]);
  const auto word = [&](std::size_t i) {
    return static_cast<std::size_t>(i < n ? words_a.words[i] : words_b.words[i - n]);
  };
  T largest = 0;
  for (std::size_t i = 0; i < n + m && !normalize; ++i)
    largest = std::max(largest, largest_magnitude(vectors.data + word(i) * dim, dim));
  const int exponent = exponent_of(largest);
  for (std::size_t i = 0; i < n + m; ++i) {
    const T* row = vectors.data + word(i) * dim;
    if (i + 2 < n + m)  // rows lie anywhere in a large table: their way from memory is most of the time
      for (std::size_t h = 0; h < dim; h += 64 / sizeof(T)) __builtin_prefetch(vectors.data + word(i + 2) * dim + h);
    if (!normalize) {
      scale_row(row, dim, exponent, rows.get() + i * dim);
    } else if (!normalize_row(row, dim, rows.get() + i * dim)) {
      throw value_error("vectors: expected a vector other than zero, got zero at row " + std::to_string(word(i)));
    }
  }
  if (kind == DocumentDistance::centroid) {
    std::vector<double> difference(dim);
    for (std::size_t i = 0; i < n + m; ++i) {
      const double weight = i < n ? words_a.weights[i] : -words_b.weights[i - n];
      for (std::size_t h = 0; h < dim; ++h) difference[h] += weight * static_cast<double>(rows[i * dim + h]);
    }
    const double squares = std::inner_product(difference.begin(), difference.end(), difference.begin(), 0.0);
    return std::ldexp(std::sqrt(squares), exponent);
  }
  Words of_query;
  of_query.words.resize(m);
  std::iota(of_query.words.begin(), of_query.words.end(), static_cast<std::int64_t>(n));
  of_query.weights = words_b.weights;
  const QueryColumns<T> query(rows.get(), dim, of_query);
  std::vector<std::int32_t> positions(n);
  std::iota(positions.begin(), positions.end(), 0);
  const std::unique_ptr<T[]> distances(new T[n * query.stride]), nearest(new T[n]);
  const auto& kernels = document_kernels<T>();
  kernels.distances(rows.get(), positions.data(), n, dim, query.columns.get(), query.stride, distances.get(),
                    nearest.get());
  if (kind == DocumentDistance::relaxed) {
    const std::int64_t all[2] = {0, static_cast<std::int64_t>(n)};
    double forward = 0, backward = 0, improved = 0;
    kernels.bounds(distances.get(), nearest.get(), query.stride, all, positions.data(), words_a.weights.data(),
                   query.weights.data(), 1, &forward, &backward, &improved);
    return std::ldexp(std::max(forward, backward), exponent);
  }
  DocumentSolver<T> solver;
  return std::ldexp(solver.solve(distances.get(), nearest.get(), query, positions.data(), words_a.weights.data(), n), exponent);
}

#define LIKEWISE_INSTANTIATE(T)                                                                                     \
  template int prepare_vectors(const T*, std::size_t, std::size_t, bool, T*, unsigned);                             \
  template struct QueryColumns<T>;                                                                                  \
  template class DocumentSolver<T>;                                                                                 \
  template double document_distance(DocumentDistance, span<const T>, std::size_t, const Bag&, const Bag&, bool);
LIKEWISE_INSTANTIATE(float)
LIKEWISE_INSTANTIATE(double)
#undef LIKEWISE_INSTANTIATE

}  // namespace likewise::transport

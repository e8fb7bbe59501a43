#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/transport/cost_rows.hpp"
#include "core/transport/scaling.hpp"

namespace likewise::transport {
namespace {

using kernels::kTileColumns;
using kernels::kTileRows;
constexpr std::size_t kTile = kTileRows * kTileColumns;
constexpr std::size_t kFeatures = 16;
constexpr std::size_t kFlushStrips = 16;  // strips of 8 rows after which float32 sums go to float64

/// Halves the set by the feature of largest spread, and so on.
void split(const std::vector<float>& features, std::size_t n_features, std::size_t n, std::uint32_t* begin,
           std::uint32_t* end) {
  while (static_cast<std::size_t>(end - begin) > kTileColumns) {
    std::size_t widest = 0;
    float spread = -1;
    for (std::size_t k = 0; k < n_features; ++k) {
      const float* f = features.data() + k * n;
      float low = f[*begin], high = low;
      for (const std::uint32_t* at = begin; at != end; ++at) {
        low = std::min(low, f[*at]);
        high = std::max(high, f[*at]);
      }
      if (high - low > spread) {
        spread = high - low;
        widest = k;
      }
    }
    const float* f = features.data() + widest * n;
    // A multiple of the tile on the left, so that tiles do not straddle the cut.
    const std::size_t half = (static_cast<std::size_t>(end - begin) / 2 + kTileColumns - 1) / kTileColumns * kTileColumns;
    std::uint32_t* middle = begin + half;
    std::nth_element(begin, middle, end, [&](std::uint32_t p, std::uint32_t q) {
      return f[p] < f[q] || (f[p] == f[q] && p < q);
    });
    split(features, n_features, n, begin, middle);
    begin = middle;
  }
}

/// Differences of costs to a few points of the other side, less their mean: linear in the point for squared distances.
std::vector<float> features_of_columns(const Cost& cost) {
  return std::visit(
      [](const auto& c) {
        const std::size_t k = std::min(kFeatures, c.n);
        std::vector<float> features(k * c.m);
        auto rows = rows_of(c);
        for (std::size_t p = 0; p < k; ++p) {
          const auto* row = rows.row(p * c.n / k);
          for (std::size_t j = 0; j < c.m; ++j) features[p * c.m + j] = static_cast<float>(row[j]);
        }
        for (std::size_t j = 0; j < c.m; ++j) {
          float mean = 0;
          for (std::size_t p = 0; p < k; ++p) mean += features[p * c.m + j] / static_cast<float>(k);
          for (std::size_t p = 0; p < k; ++p) features[p * c.m + j] -= mean;
        }
        return features;
      },
      cost);
}

template <class T>
std::vector<float> transposed_features(const PointCost<T>& c) {
  return features_of_columns(PointCost<T>{c.y, c.x, c.m, c.n, c.d, c.metric});
}
template <class T>
std::vector<float> transposed_features(const StoredCost<T>& c) {
  const std::size_t k = std::min(kFeatures, c.m);
  std::vector<float> features(k * c.n);
  for (std::size_t i = 0; i < c.n; ++i) {
    double mean = 0;
    for (std::size_t p = 0; p < k; ++p) mean += static_cast<double>(c.values[i * c.m + p * c.m / k]) / double(k);
    for (std::size_t p = 0; p < k; ++p)
      features[p * c.n + i] = static_cast<float>(static_cast<double>(c.values[i * c.m + p * c.m / k]) - mean);
  }
  return features;
}

}  // namespace

std::vector<std::uint32_t> order_by_features(const std::vector<float>& features, std::size_t n_features,
                                             std::size_t n) {
  std::vector<std::uint32_t> order(n);
  std::iota(order.begin(), order.end(), 0U);
  split(features, n_features, n, order.data(), order.data() + n);
  return order;
}

Tiles::Tiles(Pairs& pairs) : Scaling(pairs) {
  const Cost& cost = pairs.problem().cost;
  const std::size_t n = phi0_.size(), m = gamma0_.size();
  std::vector<float> features = features_of_columns(cost);
  columns_ = order_by_features(features, features.size() / m, m);
  features = std::visit([](const auto& c) { return transposed_features(c); }, cost);
  rows_ = order_by_features(features, features.size() / n, n);
  block_of_.resize(m);
  for (std::size_t k = 0; k < m; ++k) block_of_[columns_[k]] = static_cast<std::uint32_t>(k / kTileColumns);
}

bool Tiles::build(const std::vector<double>& gamma, const std::vector<double>& phi, double cut, std::size_t most) {
  phi0_ = phi;
  gamma0_ = gamma;
  const std::vector<double>& potential = pairs_.potential_of(gamma);
  const std::size_t n = phi.size(), m = gamma.size(), n_blocks = pairs_.stride() / kTileColumns;
  const Pieces pieces(n, m);
  const std::size_t strips = ((n + kTileRows - 1) / kTileRows + pieces.n - 1) / pieces.n;  // of a piece
  pieces_.resize(pieces.n);
  partial_.resize(pieces.n * pairs_.stride());
  const std::size_t most_of_piece = most / pieces.n;
  std::vector<char> fits(pieces.n, 1);
  std::visit(
      [&](const auto& c) {
        parallel_for(pieces.n, pairs_.n_threads(), [&](std::size_t p) {
          auto source = rows_of(c);
          using Value = typename decltype(source)::Value;
          const auto& kernel = cost_kernels<Value>();
          Piece& piece = pieces_[p];
          piece.values.clear();
          piece.blocks.clear();
          piece.starts.assign(1, 0);
          std::vector<std::uint32_t> found(m), marked;
          std::vector<std::uint8_t> mark(n_blocks);
          for (std::size_t s = p * strips; s < (p + 1) * strips && s * kTileRows < n; ++s) {
            const std::size_t first = s * kTileRows, count = std::min(kTileRows, n - first);
            const Value* row[kTileRows];
            double own[kTileRows];
            source.take(rows_.data() + first, count, row);
            marked.clear();
            for (std::size_t r = 0; r < count; ++r) {
              own[r] = phi[rows_[first + r]];
              const std::size_t n_found = kernel.find_above(row[r], potential.data(), m, pairs_.shift(),
                                                            pairs_.scale(), own[r], cut, found.data());
              for (std::size_t k = 0; k < n_found; ++k) {
                const std::uint32_t block = block_of_[found[k]];
                if (mark[block] == 0) marked.push_back(block);
                mark[block] = 1;
              }
            }
            std::sort(marked.begin(), marked.end());
            if (piece.values.size() + marked.size() * kTile > most_of_piece) {
              fits[p] = 0;
              return;
            }
            piece.values.resize(piece.values.size() + marked.size() * kTile);
            float* tile = piece.values.data() + piece.blocks.size() * kTile;
            for (const std::uint32_t block : marked) {
              mark[block] = 0;
              std::uint32_t columns[kTileColumns];
              double potentials[kTileColumns];
              for (std::size_t k = 0; k < kTileColumns; ++k) {
                const std::size_t at = std::size_t{block} * kTileColumns + k;
                columns[k] = columns_[std::min(at, m - 1)];
                potentials[k] = at < m ? potential[columns[k]] : -1e300;
              }
              kernel.fill_tile(row, count, columns, potentials, pairs_.shift(), pairs_.scale(), own, tile);
              tile += kTile;
              piece.blocks.push_back(block);
            }
            piece.starts.push_back(piece.blocks.size());
            if (s % 16 == 0) poll_interrupt();
          }
        });
      },
      pairs_.problem().cost);
  return std::all_of(fits.begin(), fits.end(), [](char v) { return v != 0; });
}

void Tiles::sweep(const Floats& v, std::vector<double>& sums) {
  const kernels::ScalingKernels& kernel = kernel_table().scaling;
  const std::size_t n = phi0_.size(), m = gamma0_.size(), width = v.size();
  const std::size_t strips = ((n + kTileRows - 1) / kTileRows + pieces_.size() - 1) / pieces_.size();
  Floats factors(width, 0.0f);
  for (std::size_t k = 0; k < m; ++k) factors[k] = v[columns_[k]];
  std::fill(partial_.begin(), partial_.end(), 0.0);
  parallel_for(pieces_.size(), pairs_.n_threads(), [&](std::size_t p) {
    const Piece& piece = pieces_[p];
    Floats columns(width, 0.0f);
    for (std::size_t s = 0; s + 1 < piece.starts.size(); ++s) {
      const std::size_t first = (p * strips + s) * kTileRows, count = std::min(kTileRows, n - first);
      const std::size_t begin = piece.starts[s], n_tiles = piece.starts[s + 1] - begin;
      double row_sums[kTileRows];
      float w[kTileRows] = {};
      kernel.tile_sums(piece.values.data() + begin * kTile, piece.blocks.data() + begin, n_tiles, factors.data(),
                       row_sums);
      for (std::size_t r = 0; r < count; ++r) {
        const std::size_t i = rows_[first + r];
        row_sums_[i] = row_sums[r];
        w[r] = pairs_.row_factor(i, phi0_[i], row_sums[r]);
      }
      kernel.add_tiles(piece.values.data() + begin * kTile, piece.blocks.data() + begin, n_tiles, w, columns.data());
      if (s % kFlushStrips == kFlushStrips - 1 || s + 2 == piece.starts.size())
        kernel.flush(columns.data(), width, partial_.data() + p * width);
    }
    poll_interrupt();
  });
  std::vector<double> total(width);
  for (std::size_t p = 0; p < pieces_.size(); ++p)
    kernel_table().sinkhorn.add_multiple(partial_.data() + p * width, 1.0, width, total.data());
  for (std::size_t k = 0; k < m; ++k) sums[columns_[k]] = total[k];
}

}  // namespace likewise::transport

// Sinkhorn's iteration with a stored float32 kernel K_ij = exp(phi0_i + gamma0_j + log b_j - C_ij / epsilon): absorbed
// potentials stay in float64, only what changes since is float32 (Schmitzer 2019).
#pragma once
#include <vector>

#include "core/transport/floats.hpp"
#include "core/transport/pairs.hpp"

namespace likewise::transport {

class Scaling {
 public:
  explicit Scaling(Pairs& pairs);
  virtual ~Scaling() = default;

  /// One full iteration, as Pairs::pass, with the kernel of the last build. Infinity where float32's range is left.
  double pass(const std::vector<double>& gamma, std::vector<double>& image);
  /// The largest change of gamma since the build, met in the last pass.
  double moved() const { return moved_; }
  /// The row potentials of the last pass.
  void row_potentials(std::vector<double>& phi) const;

 protected:
  /// sums = K^T w for the padded factors v of the columns, w the factors of the rows; fills row_sums_.
  virtual void sweep(const Floats& v, std::vector<double>& sums) = 0;

  Pairs& pairs_;
  std::vector<double> phi0_, gamma0_, row_sums_;

 private:
  Floats v_;
  std::vector<double> sums_;
  double moved_ = 0;
};

/// All of K, n rows of pairs.stride() numbers.
class DenseKernel final : public Scaling {
 public:
  explicit DenseKernel(Pairs& pairs);
  /// Makes the kernel from phi and gamma, with one full iteration on the way: returns its error.
  double build(const std::vector<double>& gamma, std::vector<double>& phi, std::vector<double>& image);

 private:
  void sweep(const Floats& v, std::vector<double>& sums) override;

  Floats values_;
  std::vector<double> partial_;
};

/// What K holds above a threshold, in tiles of 8 rows and 16 columns, after rows and columns have been put into an
/// order in which neighbours have similar costs.
class Tiles final : public Scaling {
 public:
  explicit Tiles(Pairs& pairs);
  /// Makes the tiles that hold an exponent above `cut`. Returns false, and holds nothing, if they would need more than
  /// `most` numbers.
  bool build(const std::vector<double>& gamma, const std::vector<double>& phi, double cut, std::size_t most);

 private:
  struct Piece {
    Floats values;
    std::vector<std::uint32_t> blocks;
    std::vector<std::size_t> starts;  // first tile of each strip of 8 rows
  };
  void sweep(const Floats& v, std::vector<double>& sums) override;

  std::vector<std::uint32_t> rows_, columns_, block_of_;  // the orders; the block in which a column stands
  std::vector<Piece> pieces_;
  std::vector<double> partial_;
};

/// Numbers 0 ... n - 1 in an order in which neighbours have similar features; features[k * n + i] is feature k of i.
std::vector<std::uint32_t> order_by_features(const std::vector<float>& features, std::size_t n_features, std::size_t n);

}  // namespace likewise::transport

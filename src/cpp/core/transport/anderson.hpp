// Anderson's acceleration of a fixed-point iteration x <- T(x) (Walker and Ni 2011): the next point combines the last
// images so that the combined residual T(x) - x is smallest.
#pragma once
#include <cstddef>
#include <vector>

#include "likewise/span.hpp"

namespace likewise::transport {

/// Differences are kept in float32: they only choose a direction, the points themselves stay in float64.
class Anderson {
 public:
  /// Residuals are measured in the norm with these weights (which must outlive this object).
  Anderson(std::size_t memory, span<const double> weights);

  /// Takes x and its image T(x), and replaces x by the next point to try, no coordinate farther than `reach` from the
  /// image. The first one after a restart is the image.
  void step(span<double> x, span<const double> image, double reach);
  void restart() {
    count_ = next_ = 0;
    has_last_ = false;
  }

 private:
  const std::size_t memory_, size_;
  const span<const double> weights_;
  std::size_t count_ = 0, next_ = 0;  // differences kept; where the next one goes
  bool has_last_ = false;
  std::vector<float> residual_differences_, image_differences_;
  std::vector<double> last_residual_, last_image_, weighted_, scratch_, gram_, factors_, theta_;
};

}  // namespace likewise::transport

#include <cmath>

#include "core/decoding/law.hpp"
#include "core/thread_pool.hpp"

namespace likewise::decoding {
namespace {

/// One row of an array that is written, whatever its type.
class Writer {
 public:
  Writer(const MutableLogits& out, std::size_t row)
      : data_(out.data + static_cast<std::ptrdiff_t>(row) * out.row_stride),
        stride_(out.element_stride),
        element_(out.element) {}

  /// n <= kBlock numbers.
  template <class T>
  void write(std::size_t first, const T* values, std::size_t n) const {
    if (element_ == Element::float64) return put(first, values, n, [](T x) { return static_cast<double>(x); });
    if (element_ == Element::float32) return put(first, values, n, [](T x) { return static_cast<float>(x); });
    float z[kBlock];
    std::uint16_t bits[kBlock];
    for (std::size_t i = 0; i < n; ++i) z[i] = static_cast<float>(values[i]);
    const kernels::DecodingTable& k = kernel_table().decoding;
    (element_ == Element::float16 ? k.to_halves : k.to_bfloats)(z, n, bits);
    put(first, bits, n, [](std::uint16_t x) { return x; });
  }
  void write_one(std::size_t id, double value) const { write(id, &value, 1); }

 private:
  template <class T, class Of>
  void put(std::size_t first, const T* values, std::size_t n, const Of& of) const {
    char* to = data_ + static_cast<std::ptrdiff_t>(first) * stride_;
    for (std::size_t i = 0; i < n; ++i, to += stride_) {
      const auto value = of(values[i]);
      std::memcpy(to, &value, sizeof value);
    }
  }

  char* data_;
  std::ptrdiff_t stride_;
  Element element_;
};

double largest_of(Element element) {
  switch (element) {
    case Element::float16:
      return 65504;
    case Element::bfloat16:
      return 0x1.FEp127;
    case Element::float32:
      return static_cast<double>(std::numeric_limits<float>::max());
    default:
      return std::numeric_limits<double>::max();
  }
}

template <class T>
void filter_row(const Logits& logits, const Filter& filter, const RowFilter& how, std::size_t row, std::int64_t step,
                bool normalize, const MutableLogits& out) {
  constexpr double nothing = -std::numeric_limits<double>::infinity();
  const Law<T> law(logits, filter, how, row, step, false, Workspace<T>::of_this_thread());
  const Writer writer(out, row);
  const std::size_t n = law.logits().size();
  const auto clear = [&] {
    const std::vector<T> block(kBlock, -std::numeric_limits<T>::infinity());
    for (std::size_t first = 0; first < n; first += kBlock) writer.write(first, block.data(), std::min(kBlock, n - first));
  };
  if (how.temperature == 0) {
    const std::size_t chosen = law.draw(0);
    clear();
    writer.write_one(chosen, 0);
    return;
  }
  const double top = static_cast<double>(law.top()), most = largest_of(out.element), temperature = law.temperature();
  if (!normalize && !(std::fabs(top / temperature) <= most))
    throw value_error("temperature: expected one by which the logits can be divided in their dtype, got " +
                      std::to_string(temperature) + " at row " + std::to_string(row));
  // A logit becomes (z - base) / T + shift: z / T, or what makes the exponentials sum to 1.
  const double base = normalize ? top : 0, shift = normalize ? std::log(law.scale()) : 0;
  const auto rescaled = [&](T z) { return (0.5 * static_cast<double>(z) - 0.5 * base) / (0.5 * temperature) + shift; };
  const bool only_ends = law.scale() == 0;
  const std::vector<EndToken> ends = law.ends();
  std::vector<double> values;
  for (const EndToken& end : ends) {
    double value = normalize ? law.log_probability(end.id) : rescaled(law.logits().at(end.id));
    if (!normalize && !only_ends && end.probability > 0)
      value = (end.weight > 0 ? value : top / temperature) +
              std::log(end.probability / (end.weight > 0 ? end.weight * law.scale() : law.scale()));
    values.push_back(std::min(value, most));
  }
  if (law.listed() || only_ends) {
    std::vector<std::uint32_t> ids;
    std::vector<double> listed;
    for (std::size_t i = 0; !only_ends && i < law.n_listed(); ++i) {
      ids.push_back(static_cast<std::uint32_t>(law.listed_id(i)));
      listed.push_back(rescaled(law.listed_logit(i)));
    }
    clear();
    for (std::size_t i = 0; i < ids.size(); ++i) writer.write_one(ids[i], listed[i]);
  } else {
    T piece[kBlock], results[kBlock];
    for (std::size_t b = 0; b < law.logits().n_blocks(); ++b) {
      std::size_t some = 0;
      const T* const z = law.logits().block(b, piece, &some);
      sampling_kernels<T>().rescale(z, some, law.threshold(), base, temperature, shift, results);
      writer.write(b * kBlock, results, some);
    }
    for (const std::int64_t eos : filter.eos) writer.write_one(static_cast<std::size_t>(eos), nothing);
  }
  for (std::size_t i = 0; i < ends.size(); ++i) writer.write_one(ends[i].id, values[i]);
}

}  // namespace

void filter_logits(const Logits& logits, const Filter& filter, span<const std::int64_t> steps, bool normalize,
                   const MutableLogits& out, unsigned n_threads) {
  parallel_for(logits.n_rows, n_threads, [&](std::size_t row) {
    poll_interrupt();
    const RowFilter how = row_filter(filter, steps, row);
    const std::int64_t step = steps[steps.size == 1 ? 0 : row];
    if (fits_float(logits.element, how.temperature)) {
      filter_row<float>(logits, filter, how, row, step, normalize, out);
    } else {
      filter_row<double>(logits, filter, how, row, step, normalize, out);
    }
  });
}

}  // namespace likewise::decoding

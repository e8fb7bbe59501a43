// Sinkhorn's iteration on many small problems at once, one a lane: every register holds one entry of as many problems.
// A lane never reads another one, and rows and columns of zeros behind its own change none of its bits. Per pair and
// iteration two products and about 2.3 loads of a register, from L1 up to 20 x 20 points.
#include "kernels/simd.hpp"
#include "kernels/table.hpp"

namespace likewise::kernels::LIKEWISE_LEVEL {
namespace {

template <class T>
inline constexpr std::size_t kWidth = kLanes<T>;  // from one entry to the next

template <class T>
inline constexpr T kTiny = sizeof(T) == 4 ? T(1e-37) : T(1e-300);
template <class T>
inline constexpr T kRidge = sizeof(T) == 4 ? T(1e-6) : T(1e-10);  // of the trace: differences are nearly dependent
/// Of the residual's square: where it hardly changes, differences are noise, and no more than a push along it.
template <class T>
inline constexpr T kLeast = sizeof(T) == 4 ? T(1e-6) : T(1e-8);
constexpr int kLongest = 10;  // no logarithm of a scaling moves further in an accelerated step

/// The scalings of R rows from column scalings v, and what the rows add to the column sums, which stand in `image`.
template <std::size_t R, class T>
inline vec<T> do_rows(const LaneState<T>& s, std::size_t first, std::size_t part, vec<T> largest) {
  using V = vec<T>;
  constexpr std::size_t w = kWidth<T>;
  const std::size_t m = s.m, row = s.stride * w;
  const T* const k = s.kernel + first * row + part;
  V sums[R] = {};
  for (std::size_t j = 0; j < m; ++j) {
    const V v = load(s.v + j * w + part);
#pragma GCC unroll 10
    for (std::size_t r = 0; r < R; ++r) sums[r] = multiply_add<T>(load(k + r * row + j * w), v, sums[r]);
  }
#pragma GCC unroll 10
  for (std::size_t r = 0; r < R; ++r) {
    sums[r] = quotient(load(s.a + (first + r) * w + part), maximum(sums[r], broadcast(kTiny<T>)));
    store(s.u + (first + r) * w + part, sums[r]);
    largest = maximum(largest, sums[r]);
  }
  for (std::size_t j = 0; j < m; ++j) {
    V column = first == 0 ? V{} : load(s.image + j * w + part);
#pragma GCC unroll 10
    for (std::size_t r = 0; r < R; ++r) column = multiply_add<T>(load(k + r * row + j * w), sums[r], column);
    store(s.image + j * w + part, column);
  }
  return largest;
}

/// Rows of one block: as many as leave registers free for the columns.
constexpr std::size_t kMostRows = 10;

template <class T>
inline vec<T> do_block(const LaneState<T>& s, std::size_t first, std::size_t count, std::size_t part, vec<T> largest) {
  switch (count) {
    case 1: return do_rows<1>(s, first, part, largest);
    case 2: return do_rows<2>(s, first, part, largest);
    case 3: return do_rows<3>(s, first, part, largest);
    case 4: return do_rows<4>(s, first, part, largest);
    case 5: return do_rows<5>(s, first, part, largest);
    case 6: return do_rows<6>(s, first, part, largest);
    case 7: return do_rows<7>(s, first, part, largest);
    case 8: return do_rows<8>(s, first, part, largest);
    case 9: return do_rows<9>(s, first, part, largest);
    default: return do_rows<kMostRows>(s, first, part, largest);
  }
}

inline vec<float> magnitude(vec<float> v) { return (vec<float>)((vec<std::int32_t>)v & 0x7FFFFFFF); }
inline vec<double> magnitude(vec<double> v) { return (vec<double>)((vec<std::int64_t>)v & 0x7FFFFFFFFFFFFFFF); }

/// One iteration: u and image from v. Returns the lanes that want attention, as bits.
template <class T>
std::uint32_t iterate(const LaneState<T>& s, std::size_t part) {
  using V = vec<T>;
  constexpr std::size_t w = kWidth<T>;
  V largest{};
  for (std::size_t i = 0; i < s.n;) {  // blocks of nearly equal size
    const std::size_t blocks = (s.n - i + kMostRows - 1) / kMostRows, count = (s.n - i + blocks - 1) / blocks;
    largest = do_block<T>(s, i, count, part, largest);
    i += count;
  }
  V error{};
  for (std::size_t j = 0; j < s.m; ++j) {
    const V column = load(s.image + j * w + part), b = load(s.b + j * w + part);
    error += magnitude(load(s.v + j * w + part) * column - b);
    const V image = quotient(b, maximum(column, broadcast(kTiny<T>)));
    largest = maximum(largest, image);
    store(s.image + j * w + part, image);
  }
  store(s.error + part, error);
  store(s.largest + part, largest);
  const V threshold = load(s.threshold + part), bound = load(s.bound + part);
  const std::uint32_t all = (std::uint32_t{1} << lanes<T>) - 1;
  const std::uint32_t good = greater_bits(error, threshold) & ~greater_bits(error, bound) &
                             ~greater_bits(largest, broadcast(s.limit)) & greater_bits(broadcast(s.limit), error);
  if (s.memory > 0) store(s.bound + part, s.growth * error);
  return ~good & all;
}

template <class T>
T* difference(T* ring, const LaneState<T>& s, std::size_t slot, std::size_t part) {
  return ring + slot * s.stride * kWidth<T> + part;
}

/// Products of R differences with the newest one, and with the residual.
template <std::size_t R, class T>
inline void project(const LaneState<T>& s, const std::size_t* slots, std::size_t part, const T* newest,
                    vec<T>* products, vec<T>* right) {
  using V = vec<T>;
  constexpr std::size_t w = kWidth<T>;
  V product[R] = {}, onto[R] = {};
  const T* others[R];
  for (std::size_t r = 0; r < R; ++r) others[r] = difference(s.residual_differences, s, slots[r], part);
  for (std::size_t j = 0; j < s.m; ++j) {
    const V difference_now = load(newest + j * w), residual = load(s.residual + j * w + part);
#pragma GCC unroll 4
    for (std::size_t r = 0; r < R; ++r) {
      const V d = load(others[r] + j * w);
      product[r] = multiply_add<T>(d, difference_now, product[r]);
      onto[r] = multiply_add<T>(d, residual, onto[r]);
    }
  }
  for (std::size_t r = 0; r < R; ++r) {
    products[r] = product[r];
    right[r] = onto[r];
  }
}

/// Anderson's step on the logarithms of v (Walker and Ni 2011): least squares by normal equations, which a ridge keeps
/// solvable, in the order of age.
template <class T>
void accelerate(const LaneState<T>& s, std::size_t part) {
  using V = vec<T>;
  constexpr std::size_t w = kWidth<T>;
  const std::size_t memory = s.memory, head = s.n_steps % memory, m = s.m;
  const std::size_t used = s.n_steps + 1 < memory ? s.n_steps + 1 : memory;
  T* const newest = difference(s.residual_differences, s, head, part);
  T* const newest_image = difference(s.image_differences, s, head, part);
  V size{};
  for (std::size_t j = 0; j < m; ++j) {
    const V v = load(s.v + j * w + part), image = load(s.image + j * w + part);
    const V one = broadcast(T{1});
    const V residual = log(v > T{0} ? (image > T{0} ? image / v : one) : one);
    T* const last = s.residual + j * w + part;
    store(newest + j * w, residual - load(last));
    store(newest_image + j * w, residual + load(s.step + j * w + part));
    store(last, residual);
    size = multiply_add<T>(residual, residual, size);
  }
  V count = load(s.count + part) + T{1};
  const V most = broadcast(static_cast<T>(memory));
  count = count < most ? count : most;
  store(s.count + part, count);

  // Products of the differences with the newest one and with the residual, from the newest difference on.
  V right[kMostSteps], products[kMostSteps];
  std::size_t slots[kMostSteps];
  for (std::size_t r = 0; r < used; ++r) slots[r] = (head + memory - r) % memory;
  std::size_t r = 0;
  for (; r + 2 <= used; r += 2) project<2>(s, slots + r, part, newest, products + r, right + r);
  if (r < used) project<1>(s, slots + r, part, newest, products + r, right + r);
  for (r = 0; r < used; ++r) {
    store(s.gram + (head * kMostSteps + slots[r]) * w + part, products[r]);
    store(s.gram + (slots[r] * kMostSteps + head) * w + part, products[r]);
  }

  // L D L^T of the matrix, both in the order of age: differences that a lane does not have are rows of zeros.
  V trace{};
  for (r = 0; r < used; ++r)
    trace += count > static_cast<T>(r) ? load(s.gram + (slots[r] * kMostSteps + slots[r]) * w + part) : V{};
  const V ridge = kRidge<T> * trace + kLeast<T> * size + kTiny<T>;
  V lower[kMostSteps][kMostSteps], scaled[kMostSteps], inverse[kMostSteps], solution[kMostSteps];
  for (r = 0; r < used; ++r) {
    const auto held = count > static_cast<T>(r);
    V y = held ? right[r] : V{};
    for (std::size_t q = 0; q <= r; ++q) {
      V x = load(s.gram + (slots[r] * kMostSteps + slots[q]) * w + part);
      x = held ? x : V{};
      if (q < r) {
        for (std::size_t k = 0; k < q; ++k) x = multiply_add<T>(-scaled[k], lower[q][k], x);
        scaled[q] = x;
        lower[r][q] = x * inverse[q];
        y = multiply_add<T>(-lower[r][q], solution[q], y);
      } else {
        for (std::size_t k = 0; k < r; ++k) x = multiply_add<T>(-scaled[k], lower[r][k], x);
        inverse[r] = quotient(broadcast(T{1}), maximum(x + ridge, ridge));
      }
    }
    solution[r] = y;
  }
  for (r = used; r-- > 0;) {
    solution[r] *= inverse[r];
    for (std::size_t q = r + 1; q < used; ++q) solution[r] = multiply_add<T>(-lower[q][r], solution[q], solution[r]);
  }
  for (r = 0; r < used; ++r) solution[r] = count > static_cast<T>(r) ? -solution[r] : V{};

  V longest{};
  for (std::size_t j = 0; j < m; ++j) {
    V step{};
    for (r = 0; r < used; ++r)
      step = multiply_add<T>(solution[r], load(difference(s.image_differences, s, slots[r], part) + j * w), step);
    step = load(s.image + j * w + part) > T{0} ? step : V{};  // behind a lane's own columns old numbers may stand
    store(s.step + j * w + part, step);
    longest = maximum(longest, step < T{0} ? -step : step);
  }
  const V limit = broadcast(static_cast<T>(kLongest));
  const V factor = longest > limit ? limit / longest : broadcast(T{1});
  for (std::size_t j = 0; j < m; ++j) {
    const V step = load(s.step + j * w + part) * factor;
    store(s.step + j * w + part, step);
    store(s.v + j * w + part, load(s.image + j * w + part) * exp(step));
  }
}

template <class T>
std::uint32_t run(LaneState<T>& s, std::size_t count, std::size_t* done) {
  for (std::size_t i = 0; i < count; ++i) {
    if (s.has_image) {
      if (s.memory > 0) {
        for (std::size_t part = 0; part < kWidth<T>; part += lanes<T>) accelerate(s, part);
        ++s.n_steps;
        T* const image = s.image;
        s.image = s.plain;
        s.plain = image;
      } else {
        T* const image = s.image;
        s.image = s.v;
        s.v = image;
      }
    }
    s.has_image = true;
    std::uint32_t wanted = 0;
    for (std::size_t part = 0; part < kWidth<T>; part += lanes<T>) wanted |= iterate(s, part) << part;
    wanted &= s.active;
    if (wanted != 0) {
      *done = i + 1;
      return wanted;
    }
  }
  *done = count;
  return 0;
}

template <class T>
T narrow(double v) {
  return v < static_cast<double>(kTiny<T>) ? T{0} : static_cast<T>(v);
}

template <class T>
void scatter(const double* e, std::size_t n, std::size_t m, std::size_t stride, T* kernel) {
  constexpr std::size_t kPiece = 64;
  for (std::size_t i = 0; i < n; ++i, e += m, kernel += stride * kWidth<T>)
    for (std::size_t j = 0; j < m; j += kPiece) {
      T found[kPiece];  // in registers first: the stores are apart
      const std::size_t count = m - j < kPiece ? m - j : kPiece;
      for (std::size_t k = 0; k < count; ++k) found[k] = narrow<T>(e[j + k]);
      for (std::size_t k = 0; k < count; ++k) kernel[(j + k) * kWidth<T>] = found[k];
    }
}

/// Registers of four float32, one of each of as many lanes: a quarter of the stores.
void scatter_four(const double* const* e, std::size_t n, std::size_t m, std::size_t stride, float* kernel) {
  constexpr std::size_t w = kWidth<float>;
  const auto take = [](const double* p) {
    four<double> v;
    std::memcpy(&v, p, sizeof v);
    v = v < static_cast<double>(kTiny<float>) ? four<double>{} : v;
    return __builtin_convertvector(v, four<float>);
  };
  for (std::size_t i = 0; i < n; ++i) {
    float* to = kernel + i * stride * w;
    const std::size_t row = i * m;
    std::size_t j = 0;
    for (; j + 4 <= m; j += 4, to += 4 * w) {
      four<float> block[] = {take(e[0] + row + j), take(e[1] + row + j), take(e[2] + row + j), take(e[3] + row + j)};
      transpose<float>(block);
#pragma GCC unroll 4
      for (std::size_t k = 0; k < 4; ++k) std::memcpy(to + k * w, &block[k], sizeof block[k]);
    }
    for (; j < m; ++j, to += w)
      for (std::size_t lane = 0; lane < 4; ++lane) to[lane] = narrow<float>(e[lane][row + j]);
  }
}
/// Two doubles fill no more of a register than they did: one lane after the other.
void scatter_four(const double* const* e, std::size_t n, std::size_t m, std::size_t stride, double* kernel) {
  for (std::size_t lane = 0; lane < 4; ++lane) scatter(e[lane], n, m, stride, kernel + lane);
}

/// Registers of a row of m >= lanes numbers. The last one may begin before the end of the one before it: body(j, seen)
/// is told how many of its lanes that one has had.
template <class Body>
inline void for_registers(std::size_t m, const Body& body) {
  constexpr std::size_t w = lanes<double>;
  std::size_t j = 0;
  for (; j + w <= m; j += w) body(j, std::size_t{0});
  if (j < m) body(m - w, j + w - m);
}

template <class C>
void range(const C* cost, std::size_t n, double* lowest, double* highest) {
  C low = cost[0], high = cost[0];
  constexpr std::size_t w = lanes<C>;
  std::size_t i = 0;
  if (n >= w) {
    vec<C> least = load(cost), most = least;
    for (; i + w <= n; i += w) {
      const vec<C> v = load(cost + i);
      least = v < least ? v : least;
      most = maximum(most, v);
    }
    low = -max_lanes<C>(-least);
    high = max_lanes<C>(most);
  }
  for (; i < n; ++i) {
    low = cost[i] < low ? cost[i] : low;
    high = cost[i] > high ? cost[i] : high;
  }
  *lowest = static_cast<double>(low);
  *highest = static_cast<double>(high);
}

template <class C>
void fill(const C* cost, double shift, double scale, std::size_t n, std::size_t m, const double* a, const double* b,
          double* e) {
  const auto exponential = [&](vec<double> costs) { return exp_unclamped((costs - shift) * -scale); };
  const std::size_t n_pairs = n * m;
  if (n_pairs < lanes<double>) {
    vec<double> costs = broadcast(shift);
    for (std::size_t k = 0; k < n_pairs; ++k) costs[k] = static_cast<double>(cost[k]);
    costs = exponential(costs);
    for (std::size_t k = 0; k < n_pairs; ++k) e[k] = costs[k];
  } else {
    for_registers(n_pairs, [&](std::size_t k, std::size_t) { store(e + k, exponential(load_doubles(cost + k))); });
  }
  for (std::size_t i = 0; i < n; ++i, e += m) {
    std::size_t j = 0;
    for (; j + lanes<double> <= m; j += lanes<double>) store(e + j, load(e + j) * (a[i] * load(b + j)));
    for (; j < m; ++j) e[j] *= a[i] * b[j];
  }
}

template <class C>
void absorb(const C* cost, double shift, double scale, std::size_t n, std::size_t m, const double* own,
            const double* potential, double* e) {
  using V = vec<double>;
  for (std::size_t i = 0; i < n; ++i, e += m, cost += m) {
    if (m < lanes<double>) {
      V t = broadcast(-1e300);
      for (std::size_t j = 0; j < m; ++j) t[j] = own[i] + potential[j] - (static_cast<double>(cost[j]) - shift) * scale;
      t = exp(t);
      for (std::size_t j = 0; j < m; ++j) e[j] = t[j];
    } else {
      for_registers(m, [&](std::size_t j, std::size_t) {
        store(e + j, exp(multiply_add<double>(load_doubles(cost + j) - shift, broadcast(-scale),
                                              own[i] + load(potential + j))));
      });
    }
  }
}

template <class C>
double measure(const double* e, const C* cost, double shift, std::size_t n, std::size_t m, const double* u,
               const double* v, double* rows, double* columns) {
  using V = vec<double>;
  constexpr std::size_t w = lanes<double>;
  for (std::size_t j = 0; j < m; ++j) columns[j] = 0;
  if (m < w) {
    double total = 0;
    for (std::size_t i = 0; i < n; ++i, e += m, cost += m) {
      rows[i] = 0;
      for (std::size_t j = 0; j < m; ++j) {
        const double p = u[i] * e[j] * v[j];
        rows[i] += p;
        columns[j] += p;
        total += p * (static_cast<double>(cost[j]) - shift);
      }
    }
    return total;
  }
  V costs{}, last_columns{}, last_weights = load(v + m - w);
  for (std::size_t l = 0; l < (w - m % w) % w; ++l) last_weights[l] = 0;
  for (std::size_t i = 0; i < n; ++i, e += m, cost += m) {
    const V own = broadcast(u[i]);
    V sum{};
    for_registers(m, [&](std::size_t j, std::size_t seen) {
      const V p = own * load(e + j) * (seen == 0 ? load(v + j) : last_weights);
      sum += p;
      costs = multiply_add<double>(p, load_doubles(cost + j) - shift, costs);
      if (seen == 0) {
        store(columns + j, load(columns + j) + p);
      } else {  // in a register: storing over what was just stored would wait for it
        last_columns += p;
      }
    });
    rows[i] = sum_lanes<double>(sum);
  }
  if (m % w != 0) store(columns + m - w, load(columns + m - w) + last_columns);
  return sum_lanes<double>(costs);
}

template <class T>
constexpr LaneKernels<T> kLanesOf{&run<T>, &scatter<T>, &scatter_four};
template <class C>
constexpr SmallKernels<C> kSmall{&range<C>, &fill<C>, &absorb<C>, &measure<C>};

}  // namespace

extern const BatchKernels batch_kernels{kLanesOf<float>, kLanesOf<double>, kSmall<float>, kSmall<double>};

}  // namespace likewise::kernels::LIKEWISE_LEVEL

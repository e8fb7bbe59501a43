// The function table of the kernels: one for each CPU level, picked once by core/dispatch.cpp.
#pragma once
#include <cstddef>
#include <cstdint>

namespace likewise::kernels {

/// Scores of type T over a window of documents [begin, begin + width).
template <class T>
struct ScoreKernels {
  /// sums[documents[i] - begin] += weight * impacts[i] while documents[i] < end, i < n. Returns the number done.
  /// documents ascend; about 2 cycles a posting while the sums are in L1 or L2.
  std::size_t (*accumulate)(const std::uint32_t* documents, const T* impacts, std::size_t n, std::uint32_t begin,
                            std::uint32_t end, T weight, T* sums);
  /// totals[i] += sums[i]; sums[i] = 0.
  void (*flush)(T* sums, T* totals, std::size_t n);
  /// The same at the given documents only.
  void (*flush_at)(const std::uint32_t* documents, std::size_t n, std::uint32_t begin, T* sums, T* totals);
  /// Moves out the documents whose sum + total is above `bound` (ascending), and zeroes all n of both. `totals` may be
  /// null: nothing is added, and `found_totals` stays untouched. The outputs need room for n + 16 entries.
  std::size_t (*collect)(T* sums, T* totals, std::size_t n, std::uint32_t begin, T bound, std::uint32_t* documents,
                         T* found_sums, T* found_totals);
  /// Moves out the documents whose sum + total + scale * bounds[i] is above `bound`, with that value, and zeroes all n
  /// of the sums and totals. n is a multiple of 64; `totals` as before.
  std::size_t (*collect_bounded)(T* sums, T* totals, const std::uint16_t* bounds, T scale, std::size_t n,
                                 std::uint32_t begin, T bound, std::uint32_t* documents, T* found_sums, T* found_totals,
                                 T* found_bounds);
  /// As `collect`, at the given documents only (in their order); room for one entry more than can be found.
  std::size_t (*collect_at)(const std::uint32_t* at, std::size_t n, std::uint32_t begin, T bound, T* sums, T* totals,
                            std::uint32_t* documents, T* found_sums, T* found_totals);
};

struct SearchKernels {
  ScoreKernels<float> f32;
  ScoreKernels<double> f64;
  /// bounds[i] = sum over the lists of their four-bit value for document i, for n_chunks chunks of 128 documents. A
  /// chunk is 64 bytes: the low halves are its first 64 documents, the high halves the others. Reads each list once.
  void (*sum_nibbles)(const std::uint8_t* const* lists, std::size_t n_lists, std::size_t n_chunks,
                      std::uint16_t* bounds);
  /// Number of i with values[i] >= values[i + 1], i + 1 < n.
  std::size_t (*count_descents)(const std::uint32_t* values, std::size_t n);
  /// Adds the number of bytes equal to 0 and to 255. Fast where there are few.
  void (*count_extremes)(const std::uint8_t* values, std::size_t n, std::size_t* zeros, std::size_t* full);
};

inline constexpr std::size_t kFoldLanes = 16;   // outputs of a slot
inline constexpr std::size_t kPanelWidth = 16;  // outputs whose entries of a dense matrix lie together

/// What the fold does with 16 neighbouring coordinates: bits of `before` and `after` are set where a sign flips before
/// and after the Hadamard transform of their block; then they are added to outputs 16 * slot ... 16 * slot + 15.
struct FoldVector {
  std::uint16_t before, after;
  std::uint32_t slot;
};

template <class T>
struct ProjectionKernels {
  /// fold[i] adds n_blocks blocks of 2^i vectors to the sums: signs, butterflies of distance 1, 2, 4, ..., signs, sum.
  /// Per vector of 16 two loads, 4 + i additions, 4 shuffles, 2 sign flips, one addition to memory.
  void (*fold[5])(const T* x, std::size_t n_blocks, const FoldVector* vectors, T* sums);
  /// Per column i and code (slot << 16 | signs) of it: the value, signs flipped, is added to the 16 outputs of the slot
  /// in the sums of even (from 0) or odd (from `width`) columns.
  void (*add_slots)(const std::uint32_t* codes, std::size_t per_column, const std::uint32_t* columns, const T* values,
                    std::size_t n, T* sums, std::size_t width);
  /// Per column i and code (output * 2 + negative) of it: 16 values, of as many rows, are added to or subtracted from
  /// the 16 sums of the output: sums[(i % 2 * width + output) * 16 + row]. Column i has the codes starts[i] up to
  /// starts[i + 1], or, where `starts` is null, per_column of them. About two cycles a code.
  void (*add_rows)(const std::uint32_t* codes, const std::uint32_t* starts, std::size_t per_column, const T* values,
                   std::size_t n, T* sums, std::size_t width);
  /// sums[r * sums_stride + j] += x[r * x_stride + c] * entries[c * 16 + j] for c = 0, 1, ... in this order, j < 16.
  void (*multiply_panel)(const T* entries, std::size_t n_columns, const T* x, std::size_t x_stride, std::size_t n_rows,
                         T* sums, std::size_t sums_stride);
  /// Hadamard transform in place, n a power of two: butterflies of distance 1, 2, 4, ...
  void (*hadamard)(T* values, std::size_t n);
  /// out[i] = sums[i] * factor; sums[i] = 0. Returns whether all of `out` is finite.
  bool (*take)(T* sums, std::size_t n, T factor, T* out);
  /// out[i] = (sums[i] + sums[n + i]) * factor; both become 0. Returns the same.
  bool (*take_both)(T* sums, std::size_t n, T factor, T* out);
  bool (*all_finite)(const T* values, std::size_t n);
};

struct ProjectionTable {
  ProjectionKernels<float> f32;
  ProjectionKernels<double> f64;
  /// words[w * n + j] = word w of the Philox block with counter (i[j], 0, block[j], tag). Ten operations a block.
  void (*philox)(const std::uint32_t* i, const std::uint32_t* block, std::size_t n, std::uint32_t tag,
                 std::uint64_t key, std::uint32_t* words);
  /// distances[j] = number of bits in which `code` and code j of `codes` differ.
  void (*hamming)(const std::uint8_t* code, const std::uint8_t* codes, std::size_t n_codes, std::size_t n_bytes,
                  std::int32_t* distances);
};

template <class T>
struct WhiteningKernels {
  /// out = (x - mean) - rest for every row; x and out are n_rows x n_columns and apart. Returns the largest |out|, which
  /// is infinity or NaN where one of them is. Three loads, a store, four operations a register.
  T (*centre)(const T* x, const T* mean, const T* rest, std::size_t n_rows, std::size_t n_columns, T* out);
};

struct WhiteningTable {
  WhiteningKernels<float> f32;
  WhiteningKernels<double> f64;
};

/// One row of costs against potentials, for the network simplex. About one load and two operations an element.
template <class T>
struct ExactKernels {
  /// The least costs[j] - potentials[j]; infinity for n = 0.
  double (*least_difference)(const T* costs, const double* potentials, std::size_t n);
  /// The first j whose difference is not above `bound`; n if there is none.
  std::size_t (*first_at_most)(const T* costs, const double* potentials, std::size_t n, double bound);
  /// The two least of them, in order. Returns the first j of the least, some j < n where all are infinite.
  std::size_t (*two_least_differences)(const T* costs, const double* potentials, std::size_t n, double* two);
  /// least[j] = min(least[j], costs[j] - potential).
  void (*lower_to_differences)(const T* costs, double potential, std::size_t n, double* least);
};

struct ExactTable {
  ExactKernels<float> f32;
  ExactKernels<double> f64;
};

inline constexpr std::size_t kQueryLanes = 16;  // words of a query whose distances lie together

/// Word Mover's Distance. A table of distances has one row a word and `stride`, a multiple of 16, columns: the words of
/// the query; columns behind its last word repeat its first one and weigh nothing.
template <class T>
struct DocumentKernels {
  /// out[j * stride + i] = |vectors[rows[j]] - query word i|, where the query's words are columns of `queries`
  /// (dim x stride); nearest[j] = the least of row j. Returns the largest distance. 3 operations a coordinate and
  /// register; the order of additions is fixed, so that a distance is the same bits wherever it is taken.
  T (*distances)(const T* vectors, const std::int32_t* rows, std::size_t n, std::size_t dim, const T* queries,
                 std::size_t stride, T* out, T* nearest);
  /// For document d, whose words (rows of the table) are indptr[d] ... indptr[d + 1] - 1, at least one: forward[d], the
  /// cost of moving each of its words to the nearest of the query; backward[d], of each word of the query to the
  /// nearest of the document; improved[d] >= forward[d], a bound by the potentials that belong to `forward`.
  void (*bounds)(const T* distances, const T* nearest, std::size_t stride, const std::int64_t* indptr,
                 const std::int32_t* words, const double* weights, const double* query_weights, std::size_t n,
                 double* forward, double* backward, double* improved);
  /// One step of dual ascent for one document: v_j = min_i (D_ji - potentials[i]), next[i] = min_j (D_ji - v_j).
  /// Returns sum_j weights[j] v_j; with the weighted sum of `next` it bounds the distance from below.
  double (*transform)(const T* distances, std::size_t stride, const std::int32_t* words, const double* weights,
                      std::size_t n, const T* potentials, T* next);
  /// out[i * width + j] = exp(-scale * distance i of row rows[j]) for i < n_columns; width is n rounded up to a multiple
  /// of 16, with zeros behind the last row.
  void (*affinities)(const T* distances, const std::int32_t* rows, std::size_t n, std::size_t stride,
                     std::size_t n_columns, T scale, float* out);
  /// out[i] = x[i] * factor, rounded once from float64.
  void (*multiply)(const T* x, std::size_t n, double factor, T* out);
  /// out[h * n + i] = rows[i][h] for n rows, a multiple of 4, of `dim` coordinates.
  void (*columns)(const T* const* rows, std::size_t n, std::size_t dim, T* out);
};

struct DocumentTable {
  DocumentKernels<float> f32;
  DocumentKernels<double> f64;
  /// Sinkhorn's half steps of one document, with the affinities as above: others[j] = weights[j] / sum_i K_ij scaling[i]
  /// (weights and others have room for `width`, weights with zeros at the end), sums[i] = sum_j K_ij others[j].
  void (*sweep)(const float* affinities, std::size_t n, std::size_t n_columns, const float* weights,
                const float* scaling, float* others, float* sums);
};

/// Sums over a row of n logits: of exp(z - top), of that times the cost, of p (z - top) where there is a p.
struct EmoSums {
  double total, cost, logit;
};
/// The gradient is exp(z - top) (base + slope cost) - of_target p.
template <class T>
struct EmoWeights {
  T base, slope, of_target;
};

/// One token of the EMO loss: n logits z, cosines, one over norms, and (soft only) a distribution p. The cost is
/// 1 - cosine / norm, kept within [0, 2].
template <class T>
struct EmoKernels {
  /// The largest into *top. Returns whether none is NaN or +inf.
  bool (*largest)(const T* z, std::size_t n, T* top);
  void (*sums)(const T* z, const T* cosines, const T* inverse_norms, const T* p, std::size_t n, T top, EmoSums* out);
  void (*soft_sums)(const T* z, const T* cosines, const T* inverse_norms, const T* p, std::size_t n, T top,
                    EmoSums* out);
  /// `out` may be z or the cosines.
  void (*gradient)(const T* z, const T* cosines, const T* inverse_norms, const T* p, std::size_t n, T top,
                   const EmoWeights<T>& weights, T* out);
  void (*soft_gradient)(const T* z, const T* cosines, const T* inverse_norms, const T* p, std::size_t n, T top,
                        const EmoWeights<T>& weights, T* out);
  /// In float64 and in a fixed order: the same bits at every level.
  double (*sum_of_squares)(const T* x, std::size_t n);
};

struct EmoTable {
  EmoKernels<float> f32;
  EmoKernels<double> f64;
};

/// Products of rows with panels of `width` words ([0]) or twice as many ([1]).
template <class T>
struct KeywordKernels {
  std::size_t width;
  /// sums[l] += sum over the rows r of weights[r] log(1 + e^-d) + ones[r] d, where d = rows[r] . word l of the panel and
  /// 0 <= ones[r] <= weights[r]. A fused multiply-add a row, word and component, and about 30 operations a row and word.
  void (*add_tree[2])(const T* const* rows, const T* weights, const T* ones, std::size_t n_rows, std::size_t dim,
                      const T* panel, double* sums);
  /// largest[l] = the largest d = rows[r] . word l + biases[r] over the rows r; sums[l] = sum of e^(d - largest[l]).
  void (*sum_exponentials[2])(const T* const* rows, const T* biases, std::size_t n_rows, std::size_t dim,
                              const T* panel, T* largest, T* sums);
};

struct KeywordTable {
  KeywordKernels<float> f32;
  KeywordKernels<double> f64;
};

inline constexpr std::size_t kPad = 16;                          // rows of a scaling kernel are filled up to it
inline constexpr std::size_t kTileRows = 8, kTileColumns = 16;  // of a tile of a sparse one

/// A row of costs of type C against m columns. The exponent of a pair is potential_j + own - (cost_j - shift) * scale,
/// in float64.
template <class C>
struct CostKernels {
  /// The largest exponent with own = 0; at least -1e300.
  double (*max_exponent)(const C* cost, const double* potential, std::size_t m, double shift, double scale);
  /// e_j = exp(exponent), in float64. Returns their sum.
  double (*exponentials)(const C* cost, const double* potential, std::size_t m, double shift, double scale, double own,
                         double* e);
  /// maxima_j = max(maxima_j, own - (cost_j - shift) * scale).
  void (*max_with)(const C* cost, std::size_t m, double shift, double scale, double own, double* maxima);
  /// sum_j (cost_j - shift) * weights_j.
  double (*weighted_cost)(const C* cost, const double* weights, std::size_t m, double shift);
  /// The same in float32, the exponents still in float64, and zeros up to the next multiple of kPad.
  double (*float_exponentials)(const C* cost, const double* potential, std::size_t m, double shift, double scale,
                               double own, float* e);
  /// found[...] = j where the exponent is above the threshold, in order. Returns how many; room for m.
  std::size_t (*find_above)(const C* cost, const double* potential, std::size_t m, double shift, double scale,
                            double own, double threshold, std::uint32_t* found);
  /// tile[r * kTileColumns + k] = exp(own_r + potential_k - (rows[r][columns[k]] - shift) * scale), n_rows rows, of
  /// which the others are 0. potential has kTileColumns numbers.
  void (*fill_tile)(const C* const* rows, std::size_t n_rows, const std::uint32_t* columns, const double* potential,
                    double shift, double scale, const double* own, float* tile);
  /// out_j = weight weights_j exp(exponent), the exponential in float32.
  void (*weighted_exponentials)(const C* cost, const double* potential, const float* weights, std::size_t m,
                                double shift, double scale, double own, float weight, float* out);
  /// columns_j += weight exp(exponent), total_cost = their sum times cost_j - shift. Returns their sum.
  double (*add_plan)(const C* cost, const double* potential, std::size_t m, double shift, double scale, double own,
                     double weight, double* columns, double* total_cost);
};

template <class T>
struct PointKernels {
  /// Squared distances of n points x and m points y of d coordinates, in float64, row by row into out (n, m). Points are
  /// multiplied by their scale first, where there are scales. From differences: exact also far from the origin.
  void (*squared_distances)(const T* x, const double* x_scale, std::size_t n, const T* y, const double* y_scale,
                            std::size_t m, std::size_t d, double* out);
};

struct SinkhornKernels {
  CostKernels<float> f32;
  CostKernels<double> f64;
  PointKernels<float> points32;
  PointKernels<double> points64;
  /// sums_j += values_j * factor.
  void (*add_multiple)(const double* values, double factor, std::size_t m, double* sums);
  double (*dot)(const double* a, const double* b, std::size_t m);
  /// Natural logarithms of normal numbers above 0.
  void (*logarithms)(const double* values, std::size_t n, double* out);
  void (*square_roots)(double* values, std::size_t n);
  /// e[r * m + j] = 2^(own[r] + potential[j] + sum_k x[r * d + k] y[k * m + j]) in float32, the exponents in float64;
  /// the sums of the rows. m is a multiple of kPad.
  void (*product_exponentials)(const double* x, const double* own, std::size_t n_rows, const double* y,
                               const double* potential, std::size_t m, std::size_t d, float* e, double* sums);
};

/// Sinkhorn's half steps with a stored float32 kernel K: sums of rows K v, then columns += K^T w. Lengths are multiples
/// of kPad. About two loads and two operations a register of K, which is read once from memory where rows are done few
/// at a time.
struct ScalingKernels {
  /// sums[r] = sum_j K[r * stride + j] v[j] for n_rows <= 4 rows.
  void (*row_sums)(const float* k, std::size_t stride, std::size_t n_rows, const float* v, std::size_t m, double* sums);
  /// columns[j] += sum_r w[r] K[r * stride + j] for n_rows <= 4 rows.
  void (*add_rows)(const float* k, std::size_t stride, std::size_t n_rows, const float* w, std::size_t m,
                   float* columns);
  /// The same for kTileRows rows that consist of tiles; tile t stands in columns blocks[t] * kTileColumns and on.
  void (*tile_sums)(const float* tiles, const std::uint32_t* blocks, std::size_t n_tiles, const float* v, double* sums);
  void (*add_tiles)(const float* tiles, const std::uint32_t* blocks, std::size_t n_tiles, const float* w,
                    float* columns);
  /// sums[j] += columns[j]; columns[j] = 0.
  void (*flush)(float* columns, std::size_t m, double* sums);
  /// factors[j] = exp(x[j] - reference[j]). Returns the largest absolute difference.
  double (*exp_differences)(const double* x, const double* reference, std::size_t m, float* factors);
  /// image[j] = x[j] + log(b[j] / sums[j]) where b[j] > light, else x[j]. Returns sum |sums - b|, infinity where a sum
  /// is not within a factor of 1e30 of its b.
  double (*column_step)(const double* sums, const double* b, const double* x, std::size_t m, double light,
                        double* image);
  /// One step of Anderson's acceleration: residual = image - x, weighted = weights * residual; the differences to those
  /// of the last step in float32; last_* and x = image take their place.
  void (*differences)(const double* image, const double* weights, std::size_t m, double* x, double* last_residual,
                      double* last_image, double* weighted, float* residual_difference, float* image_difference);
  /// out[k] = sum_j vectors[k * m + j] y[j], and y[j] -= sum_k theta[k] vectors[k * m + j].
  void (*products)(const float* vectors, std::size_t n_vectors, const double* y, std::size_t m, double* out);
  void (*subtract)(const float* vectors, std::size_t n_vectors, const double* theta, std::size_t m, double* y);
};

inline constexpr std::size_t kMostSteps = 10;  // that the acceleration of small problems remembers
/// Small problems that are solved side by side.
template <class T>
inline constexpr std::size_t kLanes = 64 / sizeof(T);

/// kLanes small problems, one a lane: entry (i, j) of the kernel stands at (i * stride + j) * kLanes + lane, vectors
/// alike. The kernel a_i b_j exp(...) holds weights and absorbed potentials; the plan is u K v. What lies behind a
/// lane's own rows and columns is 0.
template <class T>
struct LaneState {
  std::size_t n, m, stride;  // rows and columns that any lane has; columns that there is room for
  const T *kernel, *a, *b;
  T *u, *v, *image;
  bool has_image;           // image follows from v: the next v comes from both
  std::uint32_t active;     // lanes with a problem, as bits
  T *error, *largest;       // of the last iteration: |v K^T u - b|_1, and the largest scaling
  const T* threshold;       // a lane's error is small enough at or below it,
  T* bound;                 // and an acceleration has failed above it: growth times the error before
  T limit, growth;          // scalings above the limit leave the range
  std::size_t memory;       // of the acceleration; 0: plain iterations, and none of what follows
  std::size_t n_steps;
  T* count;                 // differences that a lane has; below 0: a residual before is missing
  T *plain;                 // the image from which the last accelerated step started
  T *residual, *step;       // the last ones, of logarithms
  T *residual_differences, *image_differences;  // memory times stride
  T* gram;                  // kMostSteps times kMostSteps
};

template <class T>
struct LaneKernels {
  /// Up to `count` iterations u = a / (K v), image = b / (K^T u), each after a step from v and image to the next v.
  /// Ends with the first in which the error |v K^T u - b|_1 or a scaling of an active lane crosses its marks, and
  /// returns these lanes as bits; *done is the number of iterations.
  std::uint32_t (*run)(LaneState<T>& state, std::size_t count, std::size_t* done);
  /// The kernel of one lane from its n m entries: `kernel` points to the lane. Entries that T cannot hold become 0.
  void (*scatter)(const double* entries, std::size_t n, std::size_t m, std::size_t stride, T* kernel);
  /// The same of four neighbouring lanes of one shape: `kernel` points to the first.
  void (*scatter_four)(const double* const* entries, std::size_t n, std::size_t m, std::size_t stride, T* kernel);
};

/// One small problem, its costs of type C row by row, in float64.
template <class C>
struct SmallKernels {
  void (*range)(const C* cost, std::size_t n_pairs, double* lowest, double* highest);
  /// e_ij = a_i b_j exp(-(cost_ij - shift) * scale), where no exponent is below -700.
  void (*fill)(const C* cost, double shift, double scale, std::size_t n, std::size_t m, const double* a,
               const double* b, double* e);
  /// e_ij = exp(own_i + potential_j - (cost_ij - shift) * scale), all that float64 can hold.
  void (*absorb)(const C* cost, double shift, double scale, std::size_t n, std::size_t m, const double* own,
                 const double* potential, double* e);
  /// Row and column sums of the plan u_i e_ij v_j. Returns the sum of its (cost_ij - shift).
  double (*measure)(const double* e, const C* cost, double shift, std::size_t n, std::size_t m, const double* u,
                    const double* v, double* rows, double* columns);
};

struct BatchKernels {
  LaneKernels<float> f32;
  LaneKernels<double> f64;
  SmallKernels<float> small32;
  SmallKernels<double> small64;
};

inline constexpr std::size_t kTokenBlock = 256;  // logits whose largest, and whose sum of weights, is kept

inline constexpr double kRough = 1.0616;

/// The weight of a logit is exp((z - top) / temperature), with the same bits at every level. In float32 for temperatures
/// from 1e-30 to 1e30; the halves of float64 keep any difference finite.
template <class T>
struct WeightScale;
template <>
struct WeightScale<float> {
  float top, factor;  // log2(e) / temperature
};
template <>
struct WeightScale<double> {
  double half_top, half_temperature;
};

/// A row of n logits. Weights below `lowest`, which is finite, are 0.
template <class T>
struct SamplingKernels {
  /// largest[b] = the largest of block b. Returns whether none is NaN or +inf. A load and three operations a register.
  bool (*maxima)(const T* z, std::size_t n, T* largest);
  /// sums[b] = the sum of the weights in block b. About 25 operations a register.
  void (*sums)(const T* z, std::size_t n, const WeightScale<T>& scale, T lowest, double* sums);
  /// The same from above, at most kRough times too large, and 0 for -inf. About 7 operations a register.
  void (*rough_sums)(const T* z, std::size_t n, const WeightScale<T>& scale, double* sums);
  void (*weights)(const T* z, std::size_t n, const WeightScale<T>& scale, T lowest, T* out);
  /// out[i] = min((top - z) factor, limit).
  void (*offsets)(const T* z, std::size_t n, T top, T factor, T limit, T* out);
  /// Moves out the logits not below `threshold`, with their numbers first + i; room for n + 16.
  std::size_t (*gather)(const T* z, std::size_t n, std::uint32_t first, T threshold, T* values, std::uint32_t* ids);
  /// The same where begin <= min((top - z) factor, limit) < end.
  std::size_t (*gather_between)(const T* z, std::size_t n, std::uint32_t first, T top, T factor, T limit, T begin,
                                T end, T* values, std::uint32_t* ids);
  /// How many are not below `threshold`.
  std::size_t (*count)(const T* z, std::size_t n, T threshold);
  /// out[i] = (z - base) / temperature + shift, computed in float64, or -inf below `threshold`. `out` may be z.
  void (*rescale)(const T* z, std::size_t n, T threshold, double base, double temperature, double shift, T* out);
};

struct DecodingTable {
  SamplingKernels<float> f32;
  SamplingKernels<double> f64;
  void (*from_halves)(const std::uint16_t* x, std::size_t n, float* out);
  void (*from_bfloats)(const std::uint16_t* x, std::size_t n, float* out);
  void (*to_halves)(const float* x, std::size_t n, std::uint16_t* out);
  void (*to_bfloats)(const float* x, std::size_t n, std::uint16_t* out);
  /// One token of a loop detector: runs[i] = history[i] == token ? min(runs[i] + 1, needed[i]) : 0. Returns the
  /// largest i < n with runs[i] = needed[i], plus 1; 0 if there is none. Three loads, a store and six operations a
  /// register.
  std::size_t (*extend_runs)(const std::int32_t* history, std::int32_t token, const std::int32_t* needed, std::size_t n,
                             std::int32_t* runs);
};

struct Table {
  const char* level;
  SearchKernels search;
  ProjectionTable projection;
  KeywordTable keywords;
  WhiteningTable whitening;
  ExactTable exact;
  DocumentTable documents;
  EmoTable emo;
  SinkhornKernels sinkhorn;
  ScalingKernels scaling;
  BatchKernels batch;
  DecodingTable decoding;
};

#if defined(__x86_64__)
#define LIKEWISE_LEVELS(X) X(v2) X(v3) X(v4)
#else
#define LIKEWISE_LEVELS(X) X(arm64)
#endif

#define LIKEWISE_DECLARE(level)                  \
  namespace level {                              \
  extern const SearchKernels search_kernels;     \
  extern const ProjectionTable projection_kernels; \
  extern const KeywordTable keyword_kernels;     \
  extern const WhiteningTable whitening_kernels; \
  extern const ExactTable exact_kernels;         \
  extern const DocumentTable document_kernels; \
  extern const EmoTable emo_kernels;             \
  extern const SinkhornKernels sinkhorn_kernels;   \
  extern const ScalingKernels scaling_kernels;     \
  extern const BatchKernels batch_kernels;         \
  extern const DecodingTable decoding_kernels;     \
  }
LIKEWISE_LEVELS(LIKEWISE_DECLARE)
#undef LIKEWISE_DECLARE

}  // namespace likewise::kernels

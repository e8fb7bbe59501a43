#include "likewise/decoding.hpp"

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"

namespace py = pybind11;

namespace likewise::bindings {
namespace {

using namespace decoding;

/// Logits with any strides: a widened entry. uint16 stands for the bits of bfloat16.
template <class Data>
BasicLogits<Data> rows_of(const py::object& value, const char* argument) {
  const auto refuse = [&](const std::string& expected) -> boundary_error {
    return boundary_error(std::string(argument) + ": expected " + expected + ", got " + describe(value));
  };
  if (!py::isinstance<py::array>(value)) throw refuse("a numpy array");
  auto a = py::reinterpret_borrow<py::array>(value);
  BasicLogits<Data> rows{};
  if (a.dtype().equal(py::dtype("float16"))) {
    rows.element = Element::float16;
  } else if (a.dtype().equal(py::dtype::of<std::uint16_t>())) {
    rows.element = Element::bfloat16;
  } else if (a.dtype().equal(py::dtype::of<float>())) {
    rows.element = Element::float32;
  } else if (a.dtype().equal(py::dtype::of<double>())) {
    rows.element = Element::float64;
  } else {
    throw refuse("dtype float16, float32, float64, or uint16 for bfloat16");
  }
  if (a.ndim() != 2) throw refuse("rank 2");
  if (a.shape(1) < 1 || a.shape(1) >= (py::ssize_t{1} << 31)) throw refuse("1 to 2^31 - 1 columns");
  if (!(a.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_)) throw refuse("an aligned array");
  if constexpr (std::is_const_v<Data>) {
    rows.data = static_cast<const char*>(a.data());
  } else {
    if (!a.writeable()) throw refuse("a writeable array");
    rows.data = static_cast<char*>(a.mutable_data());
  }
  rows.n_rows = static_cast<std::size_t>(a.shape(0));
  rows.n_vocabulary = static_cast<std::size_t>(a.shape(1));
  rows.row_stride = a.strides(0);
  rows.element_stride = a.strides(1);
  return rows;
}

template <class T>
std::vector<T> values_of(const py::object& value, const char* argument) {
  const Array<const T> a = input<T>(value, argument);
  return {a.data, a.data + a.size};
}

Filter make_filter(const py::object& temperature, const py::object& top_k, const py::object& top_p,
                   const py::object& min_p, const py::object& typical_p, const py::object& eos, bool consistent,
                   double epsilon, std::int64_t start, bool skip_masked) {
  Filter filter;
  filter.temperature = values_of<double>(temperature, "temperature");
  filter.top_k = values_of<std::int64_t>(top_k, "top_k");
  filter.top_p = values_of<double>(top_p, "top_p");
  filter.min_p = values_of<double>(min_p, "min_p");
  filter.typical_p = values_of<double>(typical_p, "typical_p");
  filter.eos = values_of<std::int64_t>(eos, "eos");
  filter.consistent = consistent;
  filter.epsilon = epsilon;
  filter.start = start;
  filter.skip_masked = skip_masked;
  const auto check = [](const auto& values, const char* argument, const char* expected, const auto& good) {
    bool all = !values.empty();
    for (const auto x : values) all = all && good(x);
    if (!all) throw boundary_error(std::string(argument) + ": expected " + expected);
  };
  check(filter.temperature, "temperature", "finite numbers >= 0", [](double x) { return x >= 0 && x <= 1.7e308; });
  check(filter.top_k, "top_k", "numbers >= 0", [](std::int64_t k) { return k >= 0; });
  check(filter.top_p, "top_p", "numbers > 0 and <= 1", [](double x) { return x > 0 && x <= 1; });
  check(filter.min_p, "min_p", "numbers from 0 to 1", [](double x) { return x >= 0 && x <= 1; });
  check(filter.typical_p, "typical_p", "numbers > 0 and <= 1", [](double x) { return x > 0 && x <= 1; });
  if (!(epsilon >= 0 && epsilon < 1)) throw boundary_error("epsilon: expected a number >= 0 and < 1");
  if (start < 0) throw boundary_error("start: expected a number >= 0");
  return filter;
}

/// Arrays of one value, or one a row.
void check_rows(std::size_t size, std::size_t n_rows, const char* argument) {
  if (size != 1 && size != n_rows)
    throw boundary_error(std::string(argument) + ": expected 1 or " + std::to_string(n_rows) + " values, got " +
                         std::to_string(size));
}
void check_filter(const Filter& filter, std::size_t n_rows, std::size_t n_vocabulary) {
  check_rows(filter.temperature.size(), n_rows, "temperature");
  check_rows(filter.top_k.size(), n_rows, "top_k");
  check_rows(filter.top_p.size(), n_rows, "top_p");
  check_rows(filter.min_p.size(), n_rows, "min_p");
  check_rows(filter.typical_p.size(), n_rows, "typical_p");
  for (const std::int64_t id : filter.eos)
    if (id < 0 || static_cast<std::uint64_t>(id) >= n_vocabulary)
      throw value_error("eos_id: expected ids from 0 to " + std::to_string(n_vocabulary - 1) + ", got " +
                        std::to_string(id));
}
std::vector<std::int64_t> steps_of(const py::object& value, std::size_t n_rows) {
  std::vector<std::int64_t> steps = values_of<std::int64_t>(value, "steps");
  check_rows(steps.size(), n_rows, "steps");
  for (const std::int64_t step : steps)
    if (step < 0 || step >= (std::int64_t{1} << 33))
      throw boundary_error("steps: expected numbers from 0 to 2^33 - 1, got " + std::to_string(step));
  return steps;
}

void uniforms_of(std::uint64_t seed, const py::object& row_ids, const py::object& steps, const py::object& out) {
  const Array<const std::int64_t> ids = input<std::int64_t>(row_ids, "row_ids");
  const Array<double> u = output<double>(out, "out");
  if (u.size != ids.size) throw boundary_error("out: expected " + std::to_string(ids.size) + " entries");
  uniforms(seed, ids, steps_of(steps, ids.size), u.data);
}

py::object sample_rows(const Filter& filter, const py::object& logits, const py::object& steps, const py::object& u,
                       const py::object& out, bool report, unsigned n_threads) {
  const Logits rows = rows_of<const char>(logits, "logits");
  check_filter(filter, rows.n_rows, rows.n_vocabulary);
  const std::vector<std::int64_t> step = steps_of(steps, rows.n_rows);
  const Array<const double> numbers = input<double>(u, "u");
  const Array<std::int64_t> tokens = output<std::int64_t>(out, "out");
  for (const auto& [argument, size] : {std::pair{"u", numbers.size}, std::pair{"out", tokens.size}})
    if (size != rows.n_rows)
      throw boundary_error(std::string(argument) + ": expected " + std::to_string(rows.n_rows) + " entries, got " +
                           std::to_string(size));
  if (!report) {
    const NativeCall call;
    sample(rows, filter, step, numbers.data, tokens.data, nullptr, n_threads);
    return py::none();
  }
  py::array_t<double> log_probability(rows.n_rows), end_probability(rows.n_rows);
  py::array_t<std::int64_t> kept(rows.n_rows);
  py::array_t<bool> floored(rows.n_rows);
  const Report results{log_probability.mutable_data(), kept.mutable_data(), end_probability.mutable_data(),
                       reinterpret_cast<std::uint8_t*>(floored.mutable_data())};
  {
    const NativeCall call;
    sample(rows, filter, step, numbers.data, tokens.data, &results, n_threads);
  }
  return py::make_tuple(log_probability, kept, end_probability, floored);
}

void filter_rows(const Filter& filter, const py::object& logits, const py::object& steps, bool normalize,
                 const py::object& out, unsigned n_threads) {
  const Logits rows = rows_of<const char>(logits, "logits");
  const MutableLogits results = rows_of<char>(out, "out");
  check_filter(filter, rows.n_rows, rows.n_vocabulary);
  const std::vector<std::int64_t> step = steps_of(steps, rows.n_rows);
  if (results.n_rows != rows.n_rows || results.n_vocabulary != rows.n_vocabulary)
    throw boundary_error("out: expected the shape of the logits, got " + describe(out));
  const NativeCall call;
  filter_logits(rows, filter, step, normalize, results, n_threads);
}

// --- bfloat16, which numpy does not have ---

// What a DLPack capsule holds (dmlc/dlpack, ABI version 0, which every producer hands out by default).
struct DLTensor {
  void* data;
  std::int32_t device_type, device_id;
  std::int32_t rank;
  std::uint8_t type_code, bits;
  std::uint16_t lanes;
  std::int64_t *shape, *strides;  // in elements; no strides: C order
  std::uint64_t byte_offset;
};
struct DLManagedTensor {
  DLTensor tensor;
  void* context;
  void (*deleter)(DLManagedTensor*);
};

/// The array whose memory a capsule shares, as uint16; the capsule is consumed.
py::array bfloat16_bits(const py::object& capsule) {
  if (PyCapsule_IsValid(capsule.ptr(), "dltensor") == 0)
    throw boundary_error("capsule: expected a DLPack capsule, got " + describe(capsule));
  auto* const managed = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor"));
  const DLTensor& t = managed->tensor;
  constexpr int kCpu = 1, kBfloat = 4;
  if (t.device_type != kCpu || t.type_code != kBfloat || t.bits != 16 || t.lanes != 1 || t.rank < 0)
    throw boundary_error("capsule: expected bfloat16 numbers in main memory");
  std::vector<py::ssize_t> shape(t.shape, t.shape + t.rank), strides(shape.size());
  py::ssize_t stride = 2;
  for (std::size_t i = shape.size(); i-- > 0; stride *= shape[i])
    strides[i] = t.strides != nullptr ? static_cast<py::ssize_t>(2 * t.strides[i]) : stride;
  const char* const first = static_cast<const char*>(t.data) + t.byte_offset;
  PyCapsule_SetName(capsule.ptr(), "used_dltensor");
  const py::capsule owner(managed, [](void* p) {
    auto* const owned = static_cast<DLManagedTensor*>(p);
    if (owned->deleter != nullptr) owned->deleter(owned);
  });
  return {py::dtype::of<std::uint16_t>(), shape, strides, first, owner};
}

// --- Loops ---

LoopDetector make_detector(std::int64_t max_period, std::int64_t repeats, std::int64_t min_len, std::int64_t n_rows) {
  constexpr std::int64_t most = (std::int64_t{1} << 31) - 1;
  if (max_period < 1 || repeats < 2 || min_len < 2 || min_len > most || max_period > most / repeats || n_rows < 1)
    throw boundary_error("max_period: expected sizes that fit 32 bits");
  return LoopDetector(max_period, repeats, min_len, static_cast<std::size_t>(n_rows));
}

void push(LoopDetector& detector, const py::object& tokens, const py::object& active, const py::object& out) {
  const Array<const std::int64_t> y = input<std::int64_t>(tokens, "tokens");
  const Array<std::int64_t> periods = output<std::int64_t>(out, "out");
  const std::size_t n = detector.n_rows();
  const std::uint8_t* which = nullptr;
  if (!active.is_none()) {
    const Array<const std::uint8_t> flags = input<std::uint8_t>(active, "active");
    if (flags.size != n) throw boundary_error("active: expected " + std::to_string(n) + " entries");
    which = flags.data;
  }
  for (const auto& [argument, size] : {std::pair{"tokens", y.size}, std::pair{"out", periods.size}})
    if (size != n)
      throw boundary_error(std::string(argument) + ": expected " + std::to_string(n) + " entries, got " +
                           std::to_string(size));
  detector.push(y.data, which, periods.data);  // some 50 ns a row: the GIL stays
}

std::vector<std::int64_t> rows_below(const py::object& value, const char* argument, std::size_t n) {
  std::vector<std::int64_t> rows = values_of<std::int64_t>(value, argument);
  for (const std::int64_t row : rows)
    if (row < 0 || static_cast<std::uint64_t>(row) >= n)
      throw boundary_error(std::string(argument) + ": expected rows below " + std::to_string(n) + ", got " +
                           std::to_string(row));
  return rows;
}

}  // namespace

void register_decoding(py::module_& m) {
  py::class_<Filter>(m, "Filter", "Truncations, end tokens and the floor; each array has one value, or one a row.")
      .def(py::init(&make_filter), py::arg("temperature"), py::arg("top_k"), py::arg("top_p"), py::arg("min_p"),
           py::arg("typical_p"), py::arg("eos"), py::arg("consistent").noconvert(), py::arg("epsilon"),
           py::arg("start"), py::arg("skip_masked").noconvert());
  m.def("uniforms", &uniforms_of, py::arg("seed"), py::arg("row_ids"), py::arg("steps"), py::arg("out"),
        "out[i] = the uniform number in [0, 1) of the seed, row_ids[i] and the step.");
  m.def("sample", &sample_rows, py::arg("filter"), py::arg("logits"), py::arg("steps"), py::arg("u"), py::arg("out"),
        py::arg("report").noconvert(), py::arg("n_threads"),
        "Draws a token for each row. Returns None, or log-probabilities, sizes of the support, probabilities of the end "
        "tokens, and whether a floor was in force.");
  m.def("filter_logits", &filter_rows, py::arg("filter"), py::arg("logits"), py::arg("steps"),
        py::arg("normalize").noconvert(), py::arg("out"), py::arg("n_threads"),
        "Writes the logits of the law that `sample` draws from.");
  m.def("bfloat16_bits", &bfloat16_bits, py::arg("capsule"),
        "The bits of a DLPack capsule's bfloat16 numbers as uint16, in the same memory. Consumes the capsule.");
  py::class_<LoopDetector>(m, "LoopDetector", "Exact loops of token sequences, online.")
      .def(py::init(&make_detector), py::arg("max_period"), py::arg("repeats"), py::arg("min_len"), py::arg("n_rows"))
      .def_property_readonly("n_rows", &LoopDetector::n_rows)
      .def("push", &push, py::arg("tokens"), py::arg("active"), py::arg("out"), "out[i] = period of a loop, or 0.")
      .def(
          "reset",
          [](LoopDetector& detector, const py::object& rows) {
            for (const std::int64_t row : rows_below(rows, "rows", detector.n_rows()))
              detector.reset(static_cast<std::size_t>(row));
          },
          py::arg("rows"))
      .def(
          "reorder",
          [](LoopDetector& detector, const py::object& index) {
            detector.reorder(rows_below(index, "index", detector.n_rows()));
          },
          py::arg("index"));
}

}  // namespace likewise::bindings

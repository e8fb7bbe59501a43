#include "core/search/keys.hpp"

#include <algorithm>
#include <string>

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "likewise/error.hpp"

namespace py = pybind11;

namespace likewise::bindings {
namespace {

using search::kNotFound;

/// The UTF-8 of a str, which keeps it alive; null where it holds a lone surrogate, which has no UTF-8.
std::string_view utf8(const py::handle& value, const char* argument) {
  if (!PyUnicode_Check(value.ptr()))
    throw boundary_error(std::string(argument) + ": expected str, got " + describe(value));
  Py_ssize_t size = 0;
  if (PyUnicode_IS_COMPACT_ASCII(value.ptr()))
    return {static_cast<const char*>(PyUnicode_DATA(value.ptr())),
            static_cast<std::size_t>(PyUnicode_GET_LENGTH(value.ptr()))};
  const char* data = PyUnicode_AsUTF8AndSize(value.ptr(), &size);
  if (data != nullptr) return {data, static_cast<std::size_t>(size)};
  if (PyErr_ExceptionMatches(PyExc_UnicodeEncodeError) == 0) throw py::error_already_set();
  PyErr_Clear();
  return {};
}

std::size_t check_number(std::int64_t number, std::size_t size) {
  if (number < 0 || static_cast<std::uint64_t>(number) >= size)
    throw boundary_error("number: expected 0 <= number < " + std::to_string(size) + ", got " + std::to_string(number));
  return static_cast<std::size_t>(number);
}

py::list check_list(const py::handle& value, const char* argument) {
  if (!PyList_Check(value.ptr()))
    throw boundary_error(std::string(argument) + ": expected list, got " + describe(value));
  return py::reinterpret_borrow<py::list>(value);
}

/// Found numbers as int64; -1 where there is none.
std::int64_t number_of(std::uint32_t found) { return found == kNotFound ? -1 : static_cast<std::int64_t>(found); }

struct StringListView {
  Array<const std::uint64_t> offsets;
  Array<const std::uint8_t> bytes;
  std::string name;
  search::StringList list;

  StringListView(const py::object& offsets_, const py::object& bytes_, std::size_t size, std::string name_)
      : offsets(input<std::uint64_t>(offsets_, "offsets")),
        bytes(input<std::uint8_t>(bytes_, "bytes")),
        name(std::move(name_)),
        list(offsets, bytes, size, name.c_str()) {}
};

struct StringTableView {
  Array<const std::uint64_t> offsets;
  Array<const std::uint8_t> bytes;
  Array<const std::uint32_t> slots;
  std::string name;
  search::StringTable table;

  StringTableView(const py::object& offsets_, const py::object& bytes_, const py::object& slots_, std::string name_)
      : offsets(input<std::uint64_t>(offsets_, "offsets")),
        bytes(input<std::uint8_t>(bytes_, "bytes")),
        slots(input<std::uint32_t>(slots_, "slots")),
        name(std::move(name_)),
        table(offsets, bytes, slots, name.c_str()) {}
};

struct IntegerTableView {
  Array<const std::int64_t> values;
  Array<const std::uint32_t> slots;
  std::string name;
  search::IntegerTable table;

  IntegerTableView(const py::object& values_, const py::object& slots_, std::string name_)
      : values(input<std::int64_t>(values_, "values")),
        slots(input<std::uint32_t>(slots_, "slots")),
        name(std::move(name_)),
        table(values, slots, name.c_str()) {}
};

/// (offsets, bytes, slots, duplicate): `duplicate` is the number of the first string that equals an earlier one, or -1.
py::tuple pack_strings(const py::object& strings) {
  const py::list list = check_list(strings, "strings");
  const std::size_t n = list.size();
  if (n >= kNotFound - 1) throw value_error("ids: expected fewer than 2**32 - 2 keys, got " + std::to_string(n));
  py::array_t<std::uint64_t> offsets(static_cast<py::ssize_t>(n + 1));
  std::uint64_t* offset = offsets.mutable_data();
  offset[0] = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const std::string_view s = utf8(list[i], "strings");
    if (s.data() == nullptr)
      throw value_error("ids: expected text without lone surrogates, got one at position " + std::to_string(i));
    offset[i + 1] = offset[i] + s.size();
  }
  py::array_t<std::uint8_t> bytes(static_cast<py::ssize_t>(offset[n]));
  std::uint8_t* out = bytes.mutable_data();
  // The list is ours alone while the GIL is held, so its strings are those that were measured.
  for (std::size_t i = 0; i < n; ++i) {
    const std::string_view s = utf8(list[i], "strings");
    std::copy(s.begin(), s.end(), out + offset[i]);
  }
  py::array_t<std::uint32_t> slots(static_cast<py::ssize_t>(search::slot_count(n)));
  std::fill_n(slots.mutable_data(), slots.size(), 0u);
  const std::uint32_t duplicate =
      search::fill_slots({offset, n + 1}, {out, static_cast<std::size_t>(offset[n])},
                         span<std::uint32_t>{slots.mutable_data(), static_cast<std::size_t>(slots.size())});
  return py::make_tuple(offsets, bytes, slots, number_of(duplicate));
}

/// (slots, duplicate) of int64 values.
py::tuple hash_integers(const py::object& values_) {
  const Array<const std::int64_t> values = input<std::int64_t>(values_, "values");
  if (values.size >= kNotFound - 1)
    throw value_error("ids: expected fewer than 2**32 - 2 keys, got " + std::to_string(values.size));
  py::array_t<std::uint32_t> slots(static_cast<py::ssize_t>(search::slot_count(values.size)));
  std::fill_n(slots.mutable_data(), slots.size(), 0u);
  const span<std::uint32_t> all{slots.mutable_data(), static_cast<std::size_t>(slots.size())};
  const std::uint32_t duplicate = search::fill_slots(values, all);
  return py::make_tuple(slots, number_of(duplicate));
}

/// The string of this number.
template <class Strings>
py::str get_string(const Strings& strings, std::int64_t number, const std::string& name) {
  return decode(strings[check_number(number, strings.size())], name + "_bytes");
}

/// The strings of these numbers; None for -1.
template <class Strings>
py::list take_strings(const Strings& strings, const py::object& numbers_, const std::string& name) {
  const Array<const std::int64_t> numbers = input<std::int64_t>(numbers_, "numbers");
  py::list out(static_cast<py::ssize_t>(numbers.size));
  for (std::size_t i = 0; i < numbers.size; ++i)
    out[i] = numbers.data[i] == -1 ? py::object(py::none())
                                   : py::object(get_string(strings, numbers.data[i], name));
  return out;
}

}  // namespace

void register_search_keys(py::module_& sub) {
  sub.def("pack_strings", &pack_strings, py::arg("strings"));
  sub.def("hash_integers", &hash_integers, py::arg("values"));

  py::class_<StringListView>(sub, "StringList")
      .def(py::init<const py::object&, const py::object&, std::size_t, std::string>(), py::arg("offsets"),
           py::arg("bytes"), py::arg("size"), py::arg("name"))
      .def("get", [](const StringListView& self, std::int64_t i) { return get_string(self.list, i, self.name); },
           py::arg("number"))
      .def("take",
           [](const StringListView& self, const py::object& numbers) {
             return take_strings(self.list, numbers, self.name);
           },
           py::arg("numbers"))
      .def("check", [](const StringListView& self) {
        const NativeCall call;
        self.list.check_content(self.name.c_str());
      });

  py::class_<StringTableView>(sub, "StringTable")
      .def(py::init<const py::object&, const py::object&, const py::object&, std::string>(), py::arg("offsets"),
           py::arg("bytes"), py::arg("slots"), py::arg("name"))
      .def("get", [](const StringTableView& self, std::int64_t i) { return get_string(self.table, i, self.name); },
           py::arg("number"))
      .def("find",
           [](const StringTableView& self, const py::object& key) {
             const std::string_view s = utf8(key, "key");
             return s.data() == nullptr ? -1 : number_of(self.table.find(s));
           },
           py::arg("key"))
      .def("find_all",
           [](const StringTableView& self, const py::object& keys) {
             const py::list list = check_list(keys, "keys");
             py::array_t<std::int64_t> out(static_cast<py::ssize_t>(list.size()));
             for (std::size_t i = 0; i < list.size(); ++i) {
               const std::string_view s = utf8(list[i], "keys");
               out.mutable_data()[i] = s.data() == nullptr ? -1 : number_of(self.table.find(s));
             }
             return out;
           },
           py::arg("keys"))
      .def("take",
           [](const StringTableView& self, const py::object& numbers) {
             return take_strings(self.table, numbers, self.name);
           },
           py::arg("numbers"))
      .def("check", [](const StringTableView& self) {
        const NativeCall call;
        self.table.check_content(self.name.c_str());
        check_slots(self.table, self.name.c_str(), true);
      });

  py::class_<IntegerTableView>(sub, "IntegerTable")
      .def(py::init<const py::object&, const py::object&, std::string>(), py::arg("values"), py::arg("slots"),
           py::arg("name"))
      .def("find", [](const IntegerTableView& self, std::int64_t key) { return number_of(self.table.find(key)); },
           py::arg("key").noconvert())
      .def("find_all",
           [](const IntegerTableView& self, const py::object& keys_) {
             const Array<const std::int64_t> keys = input<std::int64_t>(keys_, "keys");
             py::array_t<std::int64_t> out(static_cast<py::ssize_t>(keys.size));
             for (std::size_t i = 0; i < keys.size; ++i)
               out.mutable_data()[i] = number_of(self.table.find(keys.data[i]));
             return out;
           },
           py::arg("keys"))
      .def("check", [](const IntegerTableView& self) {
        const NativeCall call;
        check_slots(self.table, self.name.c_str());
      });
}

}  // namespace likewise::bindings

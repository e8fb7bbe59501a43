// Lists the areas of the extension module; each lives in its own file.
#include <pybind11/pybind11.h>

#include "bindings/bindings.hpp"

PYBIND11_MODULE(_core, m) {
  m.attr("__version__") = LIKEWISE_VERSION;
  likewise::bindings::register_errors(m);
  likewise::bindings::register_dispatch(m);
  pybind11::module_ decoding = m.def_submodule("decoding");
  likewise::bindings::register_decoding(decoding);
  pybind11::module_ keywords = m.def_submodule("keywords");
  likewise::bindings::register_keywords(keywords);
  pybind11::module_ projection = m.def_submodule("projection");
  likewise::bindings::register_projection(projection);
  pybind11::module_ search = m.def_submodule("search");
  likewise::bindings::register_building(search);
  likewise::bindings::register_search_arrow(search);
  likewise::bindings::register_search(search);
  likewise::bindings::register_search_keys(search);
  pybind11::module_ whitening = m.def_submodule("whitening");
  likewise::bindings::register_whitening(whitening);
  pybind11::module_ transport = m.def_submodule("transport");
  likewise::bindings::register_transport_exact(transport);
  likewise::bindings::register_transport_one_dimensional(transport);
  likewise::bindings::register_transport_documents(transport);
  likewise::bindings::register_transport_emo(transport);
  likewise::bindings::register_transport_plan_sums(transport);
  likewise::bindings::register_transport_sinkhorn(transport);
  likewise::bindings::register_transport_sinkhorn_batch(transport);
}

#pragma once
#include <pybind11/pybind11.h>

namespace likewise::bindings {

void register_errors(pybind11::module_& m);    // how the core's exceptions arrive in Python
void register_dispatch(pybind11::module_& m);  // CPU levels, threads, build facts
void register_decoding(pybind11::module_& m);  // sampling from logits, loops of tokens
void register_keywords(pybind11::module_& m);  // word2vec models that score words of texts
void register_projection(pybind11::module_& m);  // random projections, sign codes
void register_whitening(pybind11::module_& m);  // centring of rows
void register_building(pybind11::module_& m);  // texts to segments
void register_search_arrow(pybind11::module_& m);  // texts of Arrow producers
void register_search(pybind11::module_& m);    // the index and its queries
void register_search_keys(pybind11::module_& m);  // the documents' keys, and lists of strings
void register_transport_exact(pybind11::module_& m);  // network simplex
void register_transport_one_dimensional(pybind11::module_& m);  // points on the line
void register_transport_documents(pybind11::module_& m);  // Word Mover's Distance
void register_transport_emo(pybind11::module_& m);  // the EMO loss
void register_transport_plan_sums(pybind11::module_& m);  // soft minima, and sums over plans
void register_transport_sinkhorn(pybind11::module_& m);  // entropic transport and its plans
void register_transport_sinkhorn_batch(pybind11::module_& m);  // many small problems at once

}  // namespace likewise::bindings

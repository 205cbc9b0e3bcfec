#pragma once
// What the files of the module define in it.

#include "python.hpp"

namespace stele::python {

void bind_archive(nb::module_& module);
void bind_storage(nb::module_& module);

void bind_open_file(nb::module_& module);
void bind_lazy_array(nb::module_& module);
void bind_writer(nb::module_& module);
void bind_streams(nb::module_& module);
void bind_whole_files(nb::module_& module);

void bind_filters(nb::module_& module);
void bind_cache(nb::module_& module);
void bind_checkpoints(nb::module_& module);
void bind_sharded(nb::module_& module);
void bind_counts(nb::module_& module);
void bind_features(nb::module_& module);
void bind_text(nb::module_& module);
/// In builds with LMDB alone.
void bind_store(nb::module_& module);
/// In builds with libcurl alone.
void bind_remote(nb::module_& module);

}  // namespace stele::python

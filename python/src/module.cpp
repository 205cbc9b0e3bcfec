// The module stele._core.

#define STELE_IMPORTS_NUMPY
#include "numpy.hpp"

#include "archive.hpp"
#include "errors.hpp"
#include "files/files.hpp"
#include "services/services.hpp"
#include "stele/version.hpp"
#include "storage.hpp"
#include "watch.hpp"

namespace stele::python {

void import_numpy() {
  if (_import_array() < 0) {
    throw nb::python_error();
  }
}

}  // namespace stele::python

NB_MODULE(_core, module) {
  using namespace stele::python;
  import_numpy();
  translate_errors();
  let_others_run_while_waiting();
  module.attr("version") = stele::version_string;
  bind_archive(module);
  bind_files(module);
  bind_storage(module);
  bind_cache(module);
  bind_checkpoints(module);
  bind_counts(module);
  bind_filters(module);
  bind_features(module);
  bind_text(module);
#if STELE_WITH_STORE
  bind_store(module);
#endif
#if STELE_WITH_REMOTE
  bind_remote(module);
#endif
}

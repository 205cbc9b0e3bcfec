// verify() and convert().

#include <optional>

#include "bindings.hpp"
#include "options.hpp"
#include "stele/archive.hpp"
#include "stele/error.hpp"
#include "stele/storage.hpp"
#include "stele/value.hpp"
#include "streams.hpp"
#include "watch.hpp"

namespace stele::python {
namespace {

void verify(nb::handle given, const nb::dict& options) {
  const Path path = path_from(given);
  LoadOptions loading = load_options(options);
  loading.verify = Verify::full;
  const nb::gil_scoped_release released;
  const File file = open(path, loading);
  if (file.info().bytes_after == 0) {
    return file.verify();
  }
  Reader reader(path, loading);  // several archives
  while (reader.more()) {
    (void)reader.read<Value>();
  }
}

void convert(nb::handle from, nb::handle to, const nb::dict& save, bool keep_metadata) {
  const Path source = path_from(from);
  const Path target = path_from(to);
  SaveOptions saving = save_options(save);
  LoadOptions loading = load_options(nb::dict());
  const nb::gil_scoped_release released;
  if (!is_url(source.text()) && open(source, loading).info().codec == "plain") {
    loading.map = MapMode::read_only;  // the arrays of a plain file are not copied
    loading.verify = Verify::full;
  }
  Reader reader(source, loading);
  std::optional<Writer> writer;
  do {
    const Value value = reader.read<Value>();
    if (!writer) {
      if (keep_metadata) {
        saving.metadata = reader.metadata();
      }
      writer.emplace(target, saving);
    } else if (keep_metadata && reader.metadata() != saving.metadata) {
      fail(Errc::unsupported, "archives of different metadata in one file: pass metadata=");
    }
    writer->write(value);
  } while (reader.more());
  writer->close();
}

}  // namespace

void bind_whole_files(nb::module_& module) {
  module.def("verify", &verify, nb::call_guard<Interruptible>());
  module.def("convert", &convert, nb::call_guard<Interruptible>());
}

}  // namespace stele::python

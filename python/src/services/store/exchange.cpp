// Import and export.

#include "stele/store/exchange.hpp"

#include "objects/whole.hpp"
#include "services/store/binding.hpp"
#include "services/store/keys.hpp"
#include "stele/io.hpp"
#include "streams.hpp"

namespace stele::python {
namespace {

nb::dict import_from(const StoreHandle& self, const std::string& form, nb::handle file, const nb::dict& given) {
  StoreImportOptions options;
  options.key_prefix = nb::cast<std::string>(nb::str(nb::handle(given["key_prefix"])));
  options.key_field = nb::cast<std::string>(nb::str(nb::handle(given["key_field"])));
  options.overwrite = nb::cast<bool>(given["overwrite"]);
  options.exported = nb::cast<bool>(given["exported"]);
  options.progress = progress_of(nb::handle(given["progress"]));
  const Path path = path_from(file);
  return fields_of(released(self, [&](Store& store) {
    if (form == "files") {
      return import_files(store, path, options);
    }
    if (form == "npz") {
      return import_npz(store, path, options);
    }
    if (form == "store") {
      const Store from = Store::open(path, StoreMode::read_only);
      return copy_store(from, store, {}, options);
    }
    const std::unique_ptr<Source> lines = file_source(path);
    return import_json_lines(store, *lines, options);
  }));
}

nb::dict export_to(const StoreHandle& self, const std::string& form, nb::handle file, const nb::dict& given) {
  StoreExportOptions options;
  options.range = range_of(nb::handle(given["first"]), nb::handle(given["last"]), nb::handle(given["prefix"]), false);
  options.overwrite = nb::cast<bool>(given["overwrite"]);
  options.codec = nb::cast<std::string>(nb::str(nb::handle(given["codec"])));
  options.progress = progress_of(nb::handle(given["progress"]));
  const Path path = path_from(file);
  return fields_of(released(self, [&](const Store& store) {
    if (form == "files") {
      return export_files(store, path, options);
    }
    if (form == "npz") {
      return export_npz(store, path, options);
    }
    const std::unique_ptr<Sink> to = file_sink(path);
    const StoreExchangeReport report = export_json_lines(store, *to, options);
    to->close();
    return report;
  }));
}

}  // namespace

void bind_exchange(StoreClass& bound) {
  bound.def("import_from", &import_from);
  bound.def("export_to", &export_to);
}

}  // namespace stele::python

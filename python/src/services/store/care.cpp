// What keeps a store well: numbers, checks, vacuum, recovery.

#include "objects/whole.hpp"
#include "services/store/binding.hpp"
#include "services/store/keys.hpp"
#include "streams.hpp"

namespace stele::python {
namespace {

nb::dict report_of(const StoreReport& report) {
  nb::dict made;
  made["good"] = report.good();
  made["values"] = report.values;
  made["bytes"] = report.bytes;
  made["lost_bytes"] = report.lost_bytes;
  made["lost_shards"] = report.lost_shards;
  made["lost_values"] = report.lost_values;
  made["uncertain_count"] = report.uncertain_count;
  nb::list uncertain;
  for (const StoreKey& key : report.uncertain) {
    uncertain.append(key_object(key));
  }
  made["uncertain"] = uncertain;
  made["problems"] = texts_of(report.problems);
  made["problem_count"] = report.problem_count;
  return made;
}

}  // namespace

void bind_care(StoreClass& bound) {
  bound.def("stats", [](const StoreHandle& self) {
    return fields_of(released(self, [](const Store& store) { return store.stats(); }));
  });
  bound.def(
      "check",
      [](const StoreHandle& self, nb::handle progress) {
        return report_of(released(self, [&](const Store& store) { return store.check(progress_of(progress)); }));
      },
      nb::arg("progress").none());
  bound.def(
      "verify",
      [](const StoreHandle& self, nb::handle progress) {
        released(self, [&](const Store& store) { store.verify(progress_of(progress)); });
      },
      nb::arg("progress").none());
  bound.def_static(
      "recover",
      [](nb::handle folder, nb::handle progress) {
        const Path path = path_from(folder);
        return report_of(without_gil([&] { return Store::recover(path, progress_of(progress)); }));
      },
      nb::arg("folder"), nb::arg("progress").none());
  bound.def(
      "vacuum",
      [](const StoreHandle& self, double dead_share, nb::handle progress) {
        const StoreVacuumOptions options{dead_share, progress_of(progress)};
        return released(self, [&](Store& store) { return store.vacuum(options); });
      },
      nb::arg("dead_share"), nb::arg("progress").none());
  bound.def("train_dictionary", [](const StoreHandle& self, std::uint64_t samples, std::size_t bytes) {
    released(self, [&](Store& store) { store.train_dictionary(samples, bytes); });
  });
  bound.def(
      "compact_to",
      [](const StoreHandle& self, nb::handle file, nb::handle progress) {
        const Path path = path_from(file);
        released(self, [&](const Store& store) { store.compact_to(path, progress_of(progress)); });
      },
      nb::arg("file"), nb::arg("progress").none());
}

}  // namespace stele::python

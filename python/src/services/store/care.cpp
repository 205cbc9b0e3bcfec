// What keeps a store well: numbers, checks, vacuum, recovery.

#include "services/store/binding.hpp"
#include "services/store/keys.hpp"
#include "streams.hpp"

namespace stele::python {
namespace {

nb::dict stats(const StoreHandle& self) {
  const StoreStats found = released(self, [](const Store& store) { return store.stats(); });
  nb::dict made;
  made["values"] = found.values;
  made["live_bytes"] = found.live_bytes;
  made["dead_bytes"] = found.dead_bytes;
  made["index_bytes"] = found.index_bytes;
  made["commits"] = found.commits;
  made["codec"] = text(found.codec);
  made["orders"] = texts_of(found.orders);
  nb::list shards;
  for (const StoreShardStats& shard : found.shards) {
    nb::dict one;
    one["number"] = shard.number;
    one["file_bytes"] = shard.file_bytes;
    one["live_values"] = shard.live_values;
    one["live_bytes"] = shard.live_bytes;
    one["dead_bytes"] = shard.dead_bytes;
    shards.append(one);
  }
  made["shards"] = shards;
  return made;
}

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

StoreProgress progress_of(nb::handle callable) {
  return [callable](std::uint64_t done, std::uint64_t total) {
    const nb::gil_scoped_acquire gil;
    check(PyErr_CheckSignals());
    return callable.is_none() || !callable(done, total).is(nb::bool_(false));
  };
}

void bind_care(StoreClass& bound) {
  bound.def("stats", &stats);
  bound.def(
      "check",
      [](const StoreHandle& self, nb::handle progress) {
        const StoreProgress report = progress_of(progress);
        return report_of(released(self, [&](const Store& store) { return store.check(report); }));
      },
      nb::arg("progress").none());
  bound.def(
      "verify",
      [](const StoreHandle& self, nb::handle progress) {
        const StoreProgress report = progress_of(progress);
        released(self, [&](const Store& store) { store.verify(report); });
      },
      nb::arg("progress").none());
  bound.def_static(
      "recover",
      [](nb::handle folder, nb::handle progress) {
        const Path path = path_from(folder);
        const StoreProgress report = progress_of(progress);
        StoreReport found;
        {
          const nb::gil_scoped_release without;
          found = Store::recover(path, report);
        }
        return report_of(found);
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
        const StoreProgress report = progress_of(progress);
        released(self, [&](const Store& store) { store.compact_to(path, report); });
      },
      nb::arg("file"), nb::arg("progress").none());
}

}  // namespace stele::python

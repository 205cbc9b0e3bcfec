// Checkpoints. Its calls run without the GIL; where an object is walked, the walk takes it.

#include "stele/checkpoint.hpp"

#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <thread>

#include "base/process.hpp"
#include "bindings.hpp"
#include "io/replace/folder.hpp"
#include "objects/graph.hpp"
#include "options.hpp"
#include "services/checkpoint/core.hpp"
#include "services/checkpoints.hpp"
#include "services/guarded.hpp"
#include "watch.hpp"

namespace stele::python {
namespace {

/// A folder of checkpoints that several threads may use: what changes it runs one after the other, what reads at any
/// time.
class Keeper {
 public:
  explicit Keeper(Checkpoints kept) : kept_(std::make_unique<Checkpoints>(std::move(kept))) {}
  ~Keeper() {
    const Uninterrupted whole;
    const nb::gil_scoped_release released;  // the save in work may want it
    kept_.reset();
  }
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;

  const Checkpoints& kept() const noexcept { return *kept_; }
  template <class F>
  auto read(F&& use) const {
    const nb::gil_scoped_release released;
    return use(*kept_);
  }
  template <class F>
  auto change(F&& use) {
    const nb::gil_scoped_release released;
    const Turn turn(*this);
    return use(*kept_);
  }
  bool is_saving() {
    if (process_.in_child()) {
      return false;
    }
    if (owner_ == std::this_thread::get_id() || !mutex_.try_lock()) {
      return true;
    }
    const std::lock_guard lock(mutex_, std::adopt_lock);
    return kept_->is_saving();
  }
  /// An object that is being saved and was not copied, until it is.
  void hold(std::unique_ptr<GraphOut> graph) { held_ = std::move(graph); }

 private:
  class Turn {
   public:
    explicit Turn(Keeper& keeper) : keeper_(keeper) {
      keeper.process_.require_same_process("the folder of checkpoints");
      if (keeper.owner_ == std::this_thread::get_id()) {
        const nb::gil_scoped_acquire gil;
        raise(PyExc_RuntimeError, "a call of these checkpoints is in work on this thread, which made this one");
      }
      while (!keeper.mutex_.try_lock_for(std::chrono::milliseconds(20))) {
        interruption_point();
      }
      keeper.owner_ = std::this_thread::get_id();
    }
    ~Turn() {
      keeper_.owner_ = std::thread::id();
      keeper_.mutex_.unlock();
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    Keeper& keeper_;
  };

  const ProcessMark process_;
  std::timed_mutex mutex_;
  std::atomic<std::thread::id> owner_;
  std::unique_ptr<Checkpoints> kept_;
  std::unique_ptr<GraphOut> held_;
};

/// Returns nothing for a save in the background.
nb::object save(Keeper& self, std::uint64_t step, nb::handle state, const std::map<std::string, double>& metrics,
                nb::handle metadata, bool overwrite, bool later, bool unchanged) {
  const CheckpointNotes notes{.metrics = metrics, .metadata = metadata_from(metadata), .overwrite = overwrite};
  auto graph = std::make_unique<GraphOut>(state);
  if (!later) {
    return checkpoint_info(self.change([&](Checkpoints& kept) { return kept.save(step, *graph, notes); }));
  }
  self.change([&](Checkpoints& kept) {
    unchanged ? kept.save_later_unchanged(step, *graph, notes) : kept.save_later(step, *graph, notes);
    const nb::gil_scoped_acquire gil;
    self.hold(unchanged ? std::move(graph) : nullptr);
  });
  return nb::none();
}

/// The steps of all files that are named as checkpoints are, good or not.
std::vector<std::uint64_t> named(const Checkpoints& kept) {
  std::vector<std::uint64_t> steps;
  for (const std::string& name : Folder::open(kept.folder()).names()) {
    if (const std::optional<std::uint64_t> step = step_of(name)) {
      steps.push_back(*step);
    }
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

}  // namespace

CheckpointOptions checkpoint_options(const nb::dict& given) {
  CheckpointOptions options;
  Arguments all(given);
  all.take_coding(options);
  all.take("sync", options.sync);
  all.take("keep_last", options.keep_last);
  all.take("keep_every", options.keep_every);
  all.take("keep_interval", options.keep_interval_s);
  all.take("keep_age", options.keep_age_s);
  if (const nb::handle best = all.find("keep_best"); best.is_valid()) {
    for (const nb::handle one : best) {
      options.keep_best.push_back(
          {nb::cast<std::string>(one[0]), nb::cast<bool>(one[1]), nb::cast<std::size_t>(one[2])});
    }
  }
  all.take("incremental", options.incremental);
  all.take("wait", options.wait_s);
  all.take("remote", options.remote);
  all.take("read_only", options.read_only);
  all.take("warn", options.warn);
  all.end();
  return options;
}

nb::dict checkpoint_info(const CheckpointInfo& info) {
  nb::dict made;
  made["step"] = info.step;
  made["created"] = info.created;
  made["metrics"] = nb::cast(info.metrics);
  made["metadata"] = metadata_to(info.metadata);
  made["bytes"] = info.bytes;
  made["written"] = info.written;
  made["referred"] = info.referred;
  made["sharded"] = info.sharded;
  made["file"] = own(PyUnicode_DecodeFSDefaultAndSize(info.file.data(), static_cast<Py_ssize_t>(info.file.size())));
  return made;
}

void bind_checkpoints(nb::module_& module) {
  bind_sharded(module);
  const nb::call_guard<Interruptible> interruptible;
  nb::class_<Keeper> keeper(module, "Checkpoints");
  keeper.def_static("open", [](nb::handle folder, const nb::dict& options) {
    const Path path = path_from(folder);
    const CheckpointOptions given = checkpoint_options(options);
    const nb::gil_scoped_release released;
    return new Keeper(Checkpoints::open(path, given));
  });
  keeper.def_prop_ro("folder", [](const Keeper& self) {
    const std::string& path = self.kept().folder();
    return own(PyUnicode_DecodeFSDefaultAndSize(path.data(), static_cast<Py_ssize_t>(path.size())));
  });
  keeper.def("save", &save, nb::arg("step"), nb::arg("state").none(), nb::arg("metrics"), nb::arg("metadata").none(),
             nb::arg("overwrite"), nb::arg("later"), nb::arg("unchanged"), interruptible);
  keeper.def("is_saving", &Keeper::is_saving);
  const auto end = [](Keeper& self, bool release) {
    self.change([&](Checkpoints& kept) {
      release ? kept.close() : kept.wait();
      const nb::gil_scoped_acquire gil;
      self.hold(nullptr);
    });
  };
  keeper.def("wait", [end](Keeper& self) { end(self, false); }, interruptible);
  keeper.def("close", [end](Keeper& self) { end(self, true); }, interruptible);

  keeper.def(
      "list",
      [](const Keeper& self) {
        nb::list made;
        for (const CheckpointInfo& info : self.read(std::mem_fn(&Checkpoints::list))) {
          made.append(checkpoint_info(info));
        }
        return made;
      },
      interruptible);
  keeper.def("steps", [](const Keeper& self) { return self.read(std::mem_fn(&Checkpoints::steps)); });
  keeper.def("named", [](const Keeper& self) { return self.read(&named); });
  keeper.def("latest", [](const Keeper& self) { return self.read(std::mem_fn(&Checkpoints::latest)); });
  keeper.def("best", [](const Keeper& self, const std::string& metric, bool largest) {
    return self.read([&](const Checkpoints& kept) { return kept.best(metric, largest); });
  });
  keeper.def("info", [](const Keeper& self, std::uint64_t step) {
    return checkpoint_info(self.read([&](const Checkpoints& kept) { return kept.info(step); }));
  });
  keeper.def("stats", [](const Keeper& self) { return fields_of(self.read(std::mem_fn(&Checkpoints::stats))); });

  keeper.def(
      "remove", [](Keeper& self, std::uint64_t step) { self.change([&](Checkpoints& kept) { kept.remove(step); }); },
      interruptible);
  keeper.def("prune", [](Keeper& self) { return self.change(std::mem_fn(&Checkpoints::prune)); }, interruptible);
  keeper.def(
      "verify",
      [](const Keeper& self, std::uint64_t step) -> nb::object {
        const CheckpointReport report = self.read([&](const Checkpoints& kept) { return kept.verify(step); });
        return report.damaged.empty() ? nb::none() : text(report.damaged.front().second);
      },
      interruptible);
  keeper.def(
      "export_to",
      [](const Keeper& self, std::uint64_t step, nb::handle file, const nb::dict& options) {
        const Path path = path_from(file);
        const SaveOptions given = save_options(options);
        self.read([&](const Checkpoints& kept) { kept.export_to(step, path, given); });
      },
      interruptible);
  keeper.def(
      "diff",
      [](const Keeper& self, std::uint64_t before, std::uint64_t after) {
        static constexpr const char* kinds[] = {"changed", "added", "removed", "reshaped"};
        nb::list made;
        for (const CheckpointChange& change :
             self.read([&](const Checkpoints& kept) { return kept.diff(before, after); })) {
          made.append(nb::make_tuple(kinds[static_cast<std::size_t>(change.kind)], text(change.path), change.bytes,
                                     change.relative, change.largest));
        }
        return made;
      },
      interruptible);
}

}  // namespace stele::python

// Sharded checkpoints and archives.

#include "stele/sharded.hpp"

#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/vector.h>

#include <mutex>

#include "bindings.hpp"
#include "numpy.hpp"
#include "objects/whole.hpp"
#include "options.hpp"
#include "services/checkpoints.hpp"
#include "services/guarded.hpp"
#include "stele/error.hpp"
#include "stele/sharded_archive.hpp"
#include "watch.hpp"

namespace stele::python {
namespace {

Shape shape_from(nb::handle extents) {
  Shape shape;
  for (const nb::handle extent : extents) {
    shape.push_back(nb::cast<std::uint64_t>(extent));
  }
  return shape;
}

/// A ShardWriter or ShardedWriter, used by one thread at a time.
template <class Writer>
class Shard {
 public:
  explicit Shard(std::unique_ptr<Writer> writer) : writer_(std::move(writer)) {}
  ~Shard() {
    const Uninterrupted whole;
    const nb::gil_scoped_release released;
    writer_.reset();
  }
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  template <class F>
  auto use(F&& work) {
    const nb::gil_scoped_release released;
    const std::lock_guard lock(mutex_);
    if (writer_ == nullptr) {
      fail(Errc::invalid_argument, "the part was given up");
    }
    return work(*writer_);
  }
  void give_up() {
    const nb::gil_scoped_release released;
    const std::lock_guard lock(mutex_);
    writer_.reset();
  }

 private:
  std::mutex mutex_;
  std::unique_ptr<Writer> writer_;
};

nb::object read_box(const ShardedCheckpoint& self, const std::string& name, nb::handle box, nb::handle out) {
  const ShardedArray* const array = self.find(name);
  if (array == nullptr) {
    fail(Errc::not_found, "there is no array of this name in the checkpoint", {name, {}});
  }
  std::vector<Range> ranges;
  Shape shape = array->shape;
  for (const nb::handle one : box) {
    ranges.push_back({nb::cast<std::uint64_t>(one[0]), nb::cast<std::uint64_t>(one[1])});
    if (ranges.size() <= shape.rank()) {
      shape[ranges.size() - 1] = ranges.back().count;
    }
  }
  nb::object to = nb::borrow<nb::object>(out);
  DType dtype = array->dtype;
  if (out.is_none()) {
    to = empty_array(array->dtype, shape);
  } else {
    const std::optional<DType> given = dtype_of(PyArray_DESCR(as_array(out)));
    if (!given) {
      raise(PyExc_TypeError, "cannot read into an array of this dtype");
    }
    dtype = *given;
  }
  const MutableBytes memory = bytes_of(to);
  const nb::gil_scoped_release released;
  self.read(name, ranges, dtype, memory);
  return to;
}

nb::object read_value(const ShardedCheckpoint& self, const std::string& name, nb::handle resolve, bool inert) {
  const Value whole = without_gil([&] { return self.value<Value>(name); });
  return object_of(whole, Trust{nb::borrow(resolve), inert});
}

/// What both writers have.
template <class Writer>
nb::class_<Shard<Writer>> bind_shard(nb::module_& module, const char* name) {
  const nb::call_guard<Interruptible> interruptible;
  using Own = Shard<Writer>;
  nb::class_<Own> shard(module, name);
  shard.def(
      "put",
      [](Own& self, const std::string& path, nb::handle array, nb::handle shape, nb::handle offset) {
        const Viewed box = viewed(array);
        const Shape whole = shape_from(shape);
        const Shape first = shape_from(offset);
        self.use([&](Writer& writer) { writer.put(path, box.view, whole, first); });
      },
      interruptible);
  shard.def(
      "put_value",
      [](Own& self, const std::string& path, nb::handle value) {
        const GraphOut graph(value);
        self.use([&](Writer& writer) { writer.put_value(path, graph); });
      },
      nb::arg("name"), nb::arg("value").none(), interruptible);
  shard.def("close", [](Own& self) { self.use([](Writer& writer) { writer.close(); }); }, interruptible);
  shard.def("give_up", &Own::give_up);
  return shard;
}

ShardedOptions sharded_options(const std::string& attempt, double wait, double keep, const nb::dict& options) {
  ShardedOptions given{.attempt = attempt, .wait_s = wait, .keep_s = keep, .save = save_options(options)};
  given.save.formats = nullptr;
  return given;
}

void bind_sharded_archive(nb::module_& module) {
  const nb::call_guard<Interruptible> interruptible;
  using Own = Shard<ShardedWriter>;
  nb::class_<Own> writer = bind_shard<ShardedWriter>(module, "ShardedWriter");
  writer.def("__init__", [](Own* self, nb::handle place, unsigned rank, unsigned ranks, const std::string& attempt,
                            double wait, double keep, const nb::dict& options) {
    const Path path = path_from(place);
    const ShardedOptions given = sharded_options(attempt, wait, keep, options);
    const nb::gil_scoped_release released;
    new (self) Own(std::make_unique<ShardedWriter>(path, rank, ranks, given));
  });
  writer.def(
      "commit", [](Own& self) { return fields_of(self.use([](ShardedWriter& out) { return out.commit(); })); },
      interruptible);
  writer.def_prop_ro("attempt",
                     [](Own& self) { return text(self.use([](ShardedWriter& out) { return out.attempt(); })); });
  module.def(
      "commit_sharded",
      [](nb::handle place, unsigned ranks, const std::string& attempt, double wait, double keep,
         const nb::dict& options) {
        const Path path = path_from(place);
        const ShardedOptions given = sharded_options({}, wait, keep, options);
        return fields_of(without_gil([&] { return commit_sharded(path, ranks, attempt, given); }));
      },
      interruptible);
}

}  // namespace

void bind_sharded(nb::module_& module) {
  const nb::call_guard<Interruptible> interruptible;
  using Part = Shard<ShardWriter>;
  bind_shard<ShardWriter>(module, "Shard")
      .def("__init__", [](Part* self, nb::handle folder, const nb::dict& options, std::uint64_t step, unsigned rank,
                          unsigned ranks, const std::string& attempt) {
        const Path path = path_from(folder);
        const CheckpointOptions given = checkpoint_options(options);
        const nb::gil_scoped_release released;
        new (self) Part(std::make_unique<ShardWriter>(path, ShardJob{step, rank, ranks, attempt}, given));
      });
  bind_sharded_archive(module);

  module.def(
      "commit_shards",
      [](nb::handle folder, const nb::dict& options, std::uint64_t step, unsigned ranks, const std::string& attempt,
         const std::map<std::string, double>& metrics, nb::handle metadata, bool overwrite, double wait) {
        const Path path = path_from(folder);
        const CheckpointOptions given = checkpoint_options(options);
        const ShardCommit commit{
            .notes = {.metrics = metrics, .metadata = metadata_from(metadata), .overwrite = overwrite}, .wait_s = wait};
        return checkpoint_info(
            without_gil([&] { return commit_shards(path, {step, 0, ranks, attempt}, commit, given); }));
      },
      nb::arg("folder"), nb::arg("options"), nb::arg("step"), nb::arg("ranks"), nb::arg("attempt"), nb::arg("metrics"),
      nb::arg("metadata").none(), nb::arg("overwrite"), nb::arg("wait"), interruptible);

  nb::class_<ShardedCheckpoint> sharded(module, "ShardedCheckpoint");
  sharded.def_static(
      "open",
      [](nb::handle folder, std::optional<std::uint64_t> step, const nb::dict& options) {
        const Path path = path_from(folder);
        const LoadOptions given = load_options(options);
        const nb::gil_scoped_release released;
        return new ShardedCheckpoint(ShardedCheckpoint::open(path, step, given));
      },
      nb::arg("folder"), nb::arg("step").none(), nb::arg("options"), interruptible);
  sharded.def_prop_ro("info", [](const ShardedCheckpoint& self) { return checkpoint_info(self.info()); });
  sharded.def_prop_ro("ranks", &ShardedCheckpoint::ranks);
  sharded.def("arrays", [](const ShardedCheckpoint& self) {
    nb::list made;
    for (const ShardedArray& array : self.arrays()) {
      made.append(nb::make_tuple(text(array.name), extents_of(array.shape), array.dtype.name(), array.boxes.size()));
    }
    return made;
  });
  sharded.def("dtype", [](const ShardedCheckpoint& self, const std::string& name) {
    const ShardedArray* const array = self.find(name);
    return array == nullptr ? nb::none() : numpy_dtype(array->dtype);
  });
  sharded.def("values", [](const ShardedCheckpoint& self) { return texts_of(self.values()); });
  sharded.def("read", &read_box, nb::arg("name"), nb::arg("box"), nb::arg("out").none(), interruptible);
  sharded.def("value", &read_value, nb::arg("name"), nb::arg("resolve"), nb::arg("inert"), interruptible);
  sharded.def("verify", &ShardedCheckpoint::verify, InterruptibleWithoutGil());
}

}  // namespace stele::python

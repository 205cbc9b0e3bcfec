// Files that are written entry by entry: maps with arrays that grow, and objects in a row.

#include <memory>
#include <optional>

#include "bindings.hpp"
#include "files/files.hpp"
#include "numpy.hpp"
#include "objects/graph.hpp"
#include "options.hpp"
#include "stele/appender.hpp"
#include "stele/archive.hpp"
#include "stele/error.hpp"
#include "streams.hpp"
#include "watch.hpp"

namespace stele::python {
namespace {

DType stored_dtype(nb::handle array) {
  const std::optional<DType> dtype = dtype_of(PyArray_DESCR(as_array(array)));
  if (!dtype) {
    raise(PyExc_TypeError, "arrays of " + nb::cast<std::string>(nb::str(nb::object(array.attr("dtype")))) +
                               " cannot grow: their "
                               "elements have no form of a fixed size in an archive");
  }
  return *dtype;
}

/// The handle of stele.Writer.
class EntryWriter {
 public:
  EntryWriter(nb::handle file, const nb::dict& options) {
    const SaveOptions given = save_options(options);
    std::string path;
    if (path_of(file, path)) {
      const nb::gil_scoped_release released;
      writer_.emplace(Path(path), given);
      return;
    }
    sink_ = std::make_unique<FileSink>(file);
    writer_.emplace(*sink_, given);
  }
  ~EntryWriter() { drop(); }

  void write(std::string_view key, nb::handle value) {
    const OneAtATime turn(busy_, "the writer");
    writer().write(key, GraphOut(value));
  }

  /// Begins an array whose rows are those of `first`, whose rows are the first.
  void begin(std::string_view key, nb::handle first) {
    const OneAtATime turn(busy_, "the writer");
    const DType dtype = stored_dtype(first);
    const ArrayView view = view_of(as_array(first), dtype);
    Shape row;
    for (std::size_t axis = 1; axis < view.shape.rank(); ++axis) {
      row.push_back(view.shape[axis]);
    }
    MapWriter& writer = this->writer();
    const nb::gil_scoped_release released;
    growing_.emplace(writer.grow(key, dtype, row));
    growing_->append(view);
  }
  void append(nb::handle batch) {
    const OneAtATime turn(busy_, "the writer");
    (void)writer();
    const ArrayView view = view_of(as_array(batch), stored_dtype(batch));
    const nb::gil_scoped_release released;
    growing_->append(view);
  }
  void end() {
    const OneAtATime turn(busy_, "the writer");
    (void)writer();
    const nb::gil_scoped_release released;
    growing_->close();
    growing_.reset();
  }

  void close() {
    const OneAtATime turn(busy_, "the writer");
    MapWriter& writer = this->writer();
    {
      const nb::gil_scoped_release released;
      writer.close();
    }
    if (sink_ != nullptr) {
      sink_->close();
    }
    drop();
  }
  void abandon() {
    const OneAtATime turn(busy_, "the writer");
    drop();
  }

 private:
  MapWriter& writer() {
    if (!writer_) {
      raise(PyExc_ValueError, "the writer is closed");
    }
    return *writer_;
  }
  void drop() {
    growing_.reset();
    {
      const nb::gil_scoped_release released;
      writer_.reset();
    }
    sink_.reset();
  }

  std::atomic_flag busy_;
  std::unique_ptr<FileSink> sink_;
  std::optional<MapWriter> writer_;
  std::optional<AnyGrowingArray> growing_;
};

/// The handle of stele.Appender.
class ObjectAppender {
 public:
  ObjectAppender(nb::handle file, const nb::dict& options, std::uint64_t commit_every) {
    const Path path = path_from(file);
    AppendOptions given;
    given.save = save_options(options);
    given.save.formats = nullptr;
    given.commit_every = commit_every;
    const nb::gil_scoped_release released;
    appender_.emplace(path, given);
  }
  ~ObjectAppender() {
    const Uninterrupted whole;
    const nb::gil_scoped_release released;
    appender_.reset();
  }

  void append(nb::handle value) {
    const OneAtATime turn(busy_, "the appender");
    appender().append(GraphOut(value));
  }
  void commit() {
    const OneAtATime turn(busy_, "the appender");
    Appender& appender = this->appender();
    const nb::gil_scoped_release released;
    appender.commit();
  }
  void close() {
    const OneAtATime turn(busy_, "the appender");
    Appender& appender = this->appender();
    const nb::gil_scoped_release released;
    appender.close();
    appender_.reset();
  }
  void abandon() {
    const OneAtATime turn(busy_, "the appender");
    const nb::gil_scoped_release released;
    appender_.reset();
  }
  std::uint64_t entries() { return appender().entries(); }
  std::uint64_t pending() { return appender().pending(); }
  std::uint64_t cut_bytes() { return appender().cut_bytes(); }

 private:
  Appender& appender() {
    if (!appender_) {
      raise(PyExc_ValueError, "the appender is closed");
    }
    return *appender_;
  }

  std::atomic_flag busy_;
  std::optional<Appender> appender_;
};

}  // namespace

void bind_writer(nb::module_& module) {
  nb::class_<EntryWriter>(module, "EntryWriter")
      .def(nb::init<nb::handle, const nb::dict&>())
      .def("write", &EntryWriter::write, nb::arg("key"), nb::arg("value").none(), nb::call_guard<Interruptible>())
      .def("begin", &EntryWriter::begin, nb::call_guard<Interruptible>())
      .def("append", &EntryWriter::append, nb::call_guard<Interruptible>())
      .def("end", &EntryWriter::end)
      .def("close", &EntryWriter::close)
      .def("abandon", &EntryWriter::abandon);
  nb::class_<ObjectAppender>(module, "ObjectAppender")
      .def(nb::init<nb::handle, const nb::dict&, std::uint64_t>())
      .def("append", &ObjectAppender::append, nb::arg("value").none())
      .def("commit", &ObjectAppender::commit)
      .def("close", &ObjectAppender::close)
      .def("abandon", &ObjectAppender::abandon)
      .def_prop_ro("entries", &ObjectAppender::entries)
      .def_prop_ro("pending", &ObjectAppender::pending)
      .def_prop_ro("cut_bytes", &ObjectAppender::cut_bytes);
}

}  // namespace stele::python

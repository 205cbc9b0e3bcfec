// Files read in order: many objects in a row, and the rows of one array.

#include <memory>
#include <optional>

#include "bindings.hpp"
#include "files/files.hpp"
#include "numpy.hpp"
#include "objects/whole.hpp"
#include "options.hpp"
#include "stele/appender.hpp"
#include "stele/archive.hpp"
#include "stele/error.hpp"
#include "streams.hpp"
#include "watch.hpp"

namespace stele::python {
namespace {

/// Reads objects that follow one another: those of an Appender's file, or of any archives in a row.
class Entries {
 public:
  Entries(nb::handle file, const nb::dict& options, nb::handle resolve, bool inert, std::uint64_t start)
      : options_(load_options(options)), trust_{nb::borrow(resolve), inert} {
    std::string path;
    if (!path_of(file, path)) {
      source_ = std::make_unique<FileSource>(file);
      const nb::gil_scoped_release released;
      reader_.emplace(*source_, options_);
    } else {
      const nb::gil_scoped_release released;
      open_path(path, start);
    }
    if (reader_) {
      const nb::gil_scoped_release released;
      for (; start > 0 && reader_->more(); --start) {
        (void)reader_->read<Value>();
      }
    }
  }
  ~Entries() {
    {
      const nb::gil_scoped_release released;
      reader_.reset();
      appended_.reset();
    }
    source_.reset();
  }

  /// A tuple of the next object, or None where there is no other now.
  nb::object next() {
    const OneAtATime turn(busy_, "the reader");
    return appended_ ? next_of(*appended_, true) : next_of(*reader_, false);
  }

 private:
  void open_path(const std::string& path, std::uint64_t start) {
    try {
      LoadOptions given = options_;
      given.formats = nullptr;
      appended_.emplace(Path(path), given);
      appended_->seek(start);
      return;
    } catch (const Error& error) {
      appended_.reset();
      if (error.code() != Errc::invalid_argument && error.code() != Errc::damaged &&
          error.code() != Errc::not_an_archive) {
        throw;
      }
    }
    reader_.emplace(Path(path), options_);
  }

  template <class R>
  nb::object next_of(R& reader, bool again) {
    if (!without_gil([&] { return reader.more(); })) {
      return nb::none();
    }
    const auto whole = [&] { return reader.template read<Value>(); };
    if (again) {  // the position stays where an object is stored in parts
      return nb::make_tuple(read_object(trust_, [&](GraphIn& graph) { reader.read_into(graph); }, whole, options_));
    }
    return nb::make_tuple(object_of(without_gil(whole), trust_, options_));
  }

  const LoadOptions options_;
  const Trust trust_;
  std::atomic_flag busy_;
  std::unique_ptr<FileSource> source_;
  std::optional<EntryReader> appended_;
  std::optional<Reader> reader_;
};

/// Reads the rows of one array in order.
class Rows {
 public:
  Rows(nb::handle file, const nb::dict& options, const std::string& at) {
    const LoadOptions given = load_options(options);
    std::string path;
    if (path_of(file, path)) {
      const nb::gil_scoped_release released;
      reader_.emplace(Path(path), given);
      stream_ = reader_->rows(at);
      return;
    }
    source_ = std::make_unique<FileSource>(file);
    const nb::gil_scoped_release released;
    reader_.emplace(*source_, given);
    stream_ = reader_->rows(at);
  }
  ~Rows() {
    {
      const nb::gil_scoped_release released;
      stream_.reset();
      reader_.reset();
    }
    source_.reset();
  }

  /// Up to `count` rows; None after the last.
  nb::object next(std::uint64_t count) {
    const OneAtATime turn(busy_, "the reader");
    if (count == 0) {
      raise(PyExc_ValueError, "batches of no rows");
    }
    if (stream_ == nullptr) {
      return nb::none();
    }
    Shape shape;
    shape.push_back(without_gil([&] { return stream_->read(count); }));
    if (shape[0] == 0) {
      stream_.reset();
      return nb::none();
    }
    for (const std::uint64_t extent : stream_->row()) {
      shape.push_back(extent);
    }
    nb::object made = empty_array(stream_->dtype(), shape);
    const MutableBytes to = bytes_of(made);
    const nb::gil_scoped_release released;
    stream_->take(stream_->dtype(), to);
    return made;
  }

 private:
  std::atomic_flag busy_;
  std::unique_ptr<FileSource> source_;
  std::optional<Reader> reader_;
  std::shared_ptr<RowStream> stream_;
};

}  // namespace

void bind_streams(nb::module_& module) {
  nb::class_<Entries>(module, "Entries")
      .def(nb::init<nb::handle, const nb::dict&, nb::handle, bool, std::uint64_t>())
      .def("next", &Entries::next, nb::call_guard<Interruptible>());
  nb::class_<Rows>(module, "Rows")
      .def(nb::init<nb::handle, const nb::dict&, const std::string&>())
      .def("next", &Rows::next, nb::call_guard<Interruptible>());
}

}  // namespace stele::python

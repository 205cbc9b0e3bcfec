// The handle of stele.File.

#include <limits>
#include <memory>
#include <mutex>
#include <type_traits>
#include <unordered_set>

#include "bindings.hpp"
#include "files/children.hpp"
#include "files/lazy_array.hpp"
#include "format/frozen.hpp"
#include "numpy.hpp"
#include "objects/graph.hpp"
#include "objects/no_collection.hpp"
#include "options.hpp"
#include "stele/archive.hpp"
#include "stele/value.hpp"
#include "storage.hpp"
#include "streams.hpp"
#include "watch.hpp"

namespace stele::python {
namespace {

class OpenFile {
 public:
  OpenFile(nb::handle file, const nb::dict& options, nb::handle resolve, bool inert)
      : options_(load_options(options)), trust_{nb::borrow(resolve), inert} {
    const Path path = path_from(file);
    const nb::gil_scoped_release released;
    file_ = std::make_shared<File>(open(path, options_));
    if (read_by_python(path.text())) {
      LoadOptions alone = options_;
      alone.threads = 1;
      here_ = std::make_shared<File>(open(path, alone));
    }
  }

  /// Another handle of the same file, which stays open when this one is closed.
  OpenFile(const OpenFile& other)
      : options_(other.options_), trust_(other.trust_), file_(other.held()), here_(other.here_) {}

  void close() {
    std::shared_ptr<File> last;
    std::shared_ptr<File> last_here;
    const std::lock_guard lock(mutex_);
    last.swap(file_);
    last_here.swap(here_);
  }
  bool closed() const {
    const std::lock_guard lock(mutex_);
    return file_ == nullptr;
  }

  nb::object load(const std::string& path) const {
    const NoCollection guard;
    const auto make = [&] { return GraphIn(trust_); };
    return here_ != nullptr ? read_value(path, make).result : read_at(path, make).result;
  }

  /// (kind, names of types, count or None, whether it is a leaf, its value)
  nb::tuple glance(const std::string& path) const {
    const auto found = read_at(path, [] { return Glance(); });
    const bool is_leaf = found.value.is_valid();
    return nb::make_tuple(text(to_string(found.kind)), nb::tuple(texts_of(found.types)),
                          found.count ? nb::object(nb::int_(*found.count)) : nb::none(), is_leaf,
                          is_leaf ? found.value : nb::none());
  }

  nb::list children(const std::string& path) const {
    const NoCollection guard;
    return read_at(path, [&] { return Children(trust_); }).found;
  }

  /// An Outline, with the elements of arrays that are not in the file's directory.
  nb::object outline(const std::string& path) const {
    const std::shared_ptr<File> file = held();
    std::unordered_set<std::string> small;
    {
      const nb::gil_scoped_release released;
      constexpr std::uint64_t all = std::numeric_limits<std::uint64_t>::max();
      for (Entry& entry : file->list({.path = path, .depth = all, .max_items = all})) {
        if (entry.kind == Kind::array && entry.shape.count() * entry.dtype.item_size() < frozen::listed_array_bytes) {
          small.insert(std::move(entry.path));
        }
      }
    }
    const NoCollection guard;
    return read_at(path, [&] { return Outline{trust_, path, small}; }).found;
  }

  ArrayInFile array(const std::string& path) const {
    const std::shared_ptr<File> file = held();
    const nb::gil_scoped_release released;
    return ArrayInFile(file->array(path));
  }

  bool contains(const std::string& path) const {
    const std::shared_ptr<File> file = held();
    const nb::gil_scoped_release released;
    return file->contains(path);
  }

  /// The values at and below a path, a dict each.
  nb::list list(const std::string& path, std::size_t depth, std::uint64_t max_items) const {
    const std::shared_ptr<File> file = held();
    const std::vector<Entry> entries =
        without_gil([&] { return file->list({.path = path, .depth = depth, .max_items = max_items}); });
    nb::list made;
    for (const Entry& entry : entries) {
      nb::dict one;
      one["path"] = text(entry.path);
      one["kind"] = text(to_string(entry.kind));
      one["type"] = text(entry.type);
      one["bytes"] = entry.bytes;
      one["text"] = own(PyUnicode_DecodeUTF8(entry.text.data(), static_cast<Py_ssize_t>(entry.text.size()), "replace"));
      one["count"] = entry.count ? nb::object(nb::int_(*entry.count)) : nb::none();
      if (entry.kind == Kind::array) {
        one["nbytes"] = entry.shape.count() * entry.dtype.item_size();
        one["dtype"] = text(entry.dtype.name());
        one["shape"] = extents_of(entry.shape);
        one["order"] = text(entry.order == Order::row_major ? "C" : "F");
        one["encoding"] = text(entry.encoding);
        one["mappable"] = entry.mappable;
      }
      made.append(one);
    }
    return made;
  }

  nb::dict info() const {
    const Info info = held()->info();
    nb::dict made;
    made["codec"] = text(info.codec);
    made["stored_bytes"] = info.stored_bytes;
    made["plain_bytes"] = info.plain_bytes;
    made["bytes_after"] = info.bytes_after;
    made["arrays"] = info.arrays;
    made["array_bytes"] = info.array_bytes;
    made["encoded_arrays"] = info.encoded_arrays;
    made["pieced_arrays"] = info.pieced_arrays;
    made["format"] = info.format;
    made["writer"] = text(info.writer);
    made["metadata"] = metadata_to(info.metadata);
    return made;
  }

  void verify() const {
    const std::shared_ptr<File> file = held();
    const nb::gil_scoped_release released;
    file->verify();
  }

  void flush() const {
    const std::shared_ptr<File> file = held();
    const nb::gil_scoped_release released;
    file->flush();
  }

 private:
  /// `here`: the File that may be used with the GIL held.
  std::shared_ptr<File> held(bool here = false) const {
    const std::lock_guard lock(mutex_);
    if (file_ == nullptr) {
      raise(PyExc_ValueError, "the file is closed");
    }
    return here && here_ != nullptr ? here_ : file_;
  }

  /// Reads the value at a path into what `make` returns: directly, or, if it is stored in parts, as a Value first.
  template <class F>
  std::invoke_result_t<F> read_at(const std::string& path, F make) const {
    const std::shared_ptr<File> file = held(true);
    try {
      auto made = make();
      file->load_into(made, path);
      return made;
    } catch (const StoredInParts&) {
    }
    return read_value(path, make);
  }
  template <class F>
  std::invoke_result_t<F> read_value(const std::string& path, F make) const {
    const std::shared_ptr<File> file = held();
    const Value value = without_gil([&] { return file->load<Value>(path); });
    auto made = make();
    const std::unique_ptr<InVisitor> in = value_reader(value, options_);
    read_whole(*in, made, [] {});
    return made;
  }

  const LoadOptions options_;
  const Trust trust_;
  mutable std::mutex mutex_;
  std::shared_ptr<File> file_;
  /// The same file without helper threads, where Python reads it: they would wait for the GIL, and it for them.
  std::shared_ptr<File> here_;
};

}  // namespace

void bind_open_file(nb::module_& module) {
  nb::class_<OpenFile>(module, "OpenFile", nb::is_weak_referenceable())
      .def(nb::init<nb::handle, const nb::dict&, nb::handle, bool>(), nb::call_guard<Interruptible>())
      .def("share", [](const OpenFile& file) { return OpenFile(file); })
      .def("close", &OpenFile::close)
      .def_prop_ro("closed", &OpenFile::closed)
      .def("load", &OpenFile::load, nb::call_guard<Interruptible>())
      .def("glance", &OpenFile::glance, nb::call_guard<Interruptible>())
      .def("children", &OpenFile::children, nb::call_guard<Interruptible>())
      .def("outline", &OpenFile::outline, nb::call_guard<Interruptible>())
      .def("array", &OpenFile::array, nb::call_guard<Interruptible>())
      .def("contains", &OpenFile::contains, nb::call_guard<Interruptible>())
      .def("list", &OpenFile::list, nb::call_guard<Interruptible>())
      .def("info", &OpenFile::info, nb::call_guard<Interruptible>())
      .def("verify", &OpenFile::verify, nb::call_guard<Interruptible>())
      .def("flush", &OpenFile::flush);
}

}  // namespace stele::python

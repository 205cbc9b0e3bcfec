// Storages whose engine is Python's: fsspec and obstore. stele/_urls.py has the other half.

#include "storage.hpp"

#include <algorithm>
#include <memory>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "bindings.hpp"
#include "stele/error.hpp"
#include "stele/storage.hpp"
#include "streams.hpp"

namespace stele::python {
namespace {

struct Schemes {
  std::mutex mutex;  // guards names
  std::set<std::string, std::less<>> names;
};

Schemes& schemes() {
  static Schemes all;
  return all;
}

/// Runs `work` with the GIL. What stele/_urls.py raises as a stele.Error becomes the library's, as its callers expect.
template <class F>
auto in_python(F&& work) {
  const nb::gil_scoped_acquire gil;
  try {
    return work();
  } catch (nb::python_error& error) {
    const nb::object value = nb::borrow(error.value());
    if (!PyObject_IsInstance(value.ptr(), imported("stele._errors", "Error").ptr())) {
      throw;
    }
    const auto code = nb::cast<std::string>(value.attr("code"));
    const auto said = nb::cast<std::string>(value.attr("message"));
    const auto file = nb::cast<std::string>(value.attr("file"));
    Errc found = Errc::io;
    for (const Errc one :
         {Errc::not_found, Errc::truncated, Errc::unsupported, Errc::invalid_argument, Errc::denied, Errc::changed}) {
      if (to_string(one) == code) {
        found = one;
      }
    }
    fail(found, said, {.file = file});
  }
}

nb::object view_of(MutableBytes bytes) { return memory_view(bytes, PyBUF_WRITE); }

/// An object of Python's that goes away with the GIL held.
class Held {
 public:
  explicit Held(nb::object object) : object_(std::move(object)) {}
  ~Held() {
    const nb::gil_scoped_acquire gil;
    object_.reset();
  }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  nb::handle get() const noexcept { return object_; }

 private:
  nb::object object_;
};

class PythonSource final : public Source {
 public:
  PythonSource(nb::object reader, std::string name)
      : size_(nb::cast<std::uint64_t>(reader.attr("size"))), name_(std::move(name)), reader_(std::move(reader)) {}

  std::size_t read(MutableBytes into) override {
    const std::size_t count = *peek(into);
    position_ += count;
    return count;
  }
  std::optional<std::size_t> peek(MutableBytes into) override {
    const std::size_t count = static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), size_ - position_));
    read_at(position_, into.first(count));
    return count;
  }
  std::optional<std::uint64_t> size() const override { return size_; }
  bool random_access() const noexcept override { return true; }
  void seek(std::uint64_t offset) override { position_ = std::min(offset, size_); }
  void read_at(std::uint64_t offset, MutableBytes into) const override {
    if (offset > size_ || into.size() > size_ - offset) {
      fail(Errc::truncated, name_ + " ends before what is to be read", {.file = name_});
    }
    if (into.empty()) {
      return;
    }
    Plan plan;
    {
      const std::lock_guard lock(mutex_);
      plan = plan_;
    }
    in_python([&] { reader_.get().attr("read_at")(offset, view_of(into), plan.begin, plan.end); });
  }
  void will_read(std::uint64_t offset, std::uint64_t size) const override {
    const std::uint64_t begin = std::min(offset, size_);
    const std::uint64_t end = begin + std::min(size, size_ - begin);
    const std::lock_guard lock(mutex_);
    if (begin < plan_.begin || end > plan_.end) {
      plan_ = {begin, end};
    }
  }
  std::string name() const override { return name_; }

 private:
  struct Plan {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
  };
  const std::uint64_t size_;
  std::uint64_t position_ = 0;
  const std::string name_;
  const Held reader_;
  mutable std::mutex mutex_;  // guards plan_
  mutable Plan plan_;         // of the last call of will_read()
};

class PythonSink final : public Sink {
 public:
  explicit PythonSink(nb::object file) : file_(std::move(file)) {}
  ~PythonSink() override {
    if (!closed_) {
      const nb::gil_scoped_acquire gil;
      try {
        file_.get().attr("discard")();
      } catch (nb::python_error& error) {
        error.discard_as_unraisable("an upload that was given up");
      }
    }
  }
  void write(Bytes bytes) override {
    in_python([&] {
      check(PyErr_CheckSignals());
      const nb::object view = memory_view(bytes);
      file_.get().attr("write")(view);
      view.attr("release")();
    });
  }
  void close() override {
    in_python([&] { file_.get().attr("close")(); });
    closed_ = true;
  }

 private:
  const Held file_;
  bool closed_ = false;
};

StoredObject object_from(nb::handle found) {
  return {nb::cast<std::string>(found[0]), nb::cast<std::uint64_t>(found[1]), nb::cast<double>(found[2]),
          nb::cast<std::string>(found[3])};
}

class PythonStorage final : public Storage {
 public:
  PythonStorage(std::string name, nb::object storage) : name_(std::move(name)), storage_(std::move(storage)) {}

  const std::string& name() const noexcept override { return name_; }

  std::vector<StoredObject> list(std::string_view prefix) const override {
    return in_python([&] {
      std::vector<StoredObject> found;
      for (const nb::handle one : storage_.get().attr("list")(text(prefix))) {
        found.push_back(object_from(one));
      }
      return found;
    });
  }
  std::optional<StoredObject> find(std::string_view key) const override {
    require_key(key);
    return in_python([&]() -> std::optional<StoredObject> {
      const nb::object found = storage_.get().attr("find")(text(key));
      return found.is_none() ? std::nullopt : std::optional(object_from(found));
    });
  }
  void read(std::string_view key, std::span<const ByteRange> ranges, std::string_view etag) const override {
    require_key(key);
    in_python([&] {
      nb::list wanted;
      for (const ByteRange& range : ranges) {
        wanted.append(nb::make_tuple(range.offset, view_of(range.to)));
      }
      storage_.get().attr("read")(text(key), wanted, text(etag));
    });
  }
  std::unique_ptr<Source> source(std::string_view key) const override {
    require_key(key);
    return in_python(
        [&] { return std::make_unique<PythonSource>(storage_.get().attr("reader")(text(key)), path_of(key)); });
  }
  std::unique_ptr<Sink> sink(std::string_view key) override {
    require_key(key);
    return in_python([&] { return std::make_unique<PythonSink>(storage_.get().attr("writer")(text(key))); });
  }
  std::optional<std::string> put(std::string_view key, Bytes content, const PutCondition& when) override {
    require_key(key);
    static constexpr const char* conditions[] = {"always", "absent", "unchanged"};
    return in_python([&]() -> std::optional<std::string> {
      const nb::bytes bytes(content.data(), content.size());
      const nb::object etag = storage_.get().attr("put")(
          text(key), bytes, nb::str(conditions[static_cast<std::size_t>(when.kind)]), text(when.etag));
      return etag.is_none() ? std::nullopt : std::optional(nb::cast<std::string>(etag));
    });
  }
  void remove(std::string_view key) override {
    require_key(key);
    in_python([&] { storage_.get().attr("remove")(text(key)); });
  }

 private:
  const std::string name_;
  const Held storage_;
};

std::unique_ptr<Storage> open_python_storage(const std::string& url) {
  return in_python(
      [&] { return std::make_unique<PythonStorage>(url, imported("stele._urls", "storage_at")(text(url))); });
}

/// A Storage of the core, for the package's own Python.
class OpenStorage {
 public:
  explicit OpenStorage(nb::handle place) {
    const Path path = path_from(place);
    const nb::gil_scoped_release released;
    storage_ = open_storage(path);
  }
  /// Tuples of key, bytes, time and etag.
  nb::list list(const std::string& prefix) const {
    nb::list made;
    for (const StoredObject& one : without_gil([&] { return storage_->list(prefix); })) {
      made.append(tuple_of(one));
    }
    return made;
  }
  nb::object find(const std::string& key) const {
    const std::optional<StoredObject> found = without_gil([&] { return storage_->find(key); });
    return found ? nb::object(tuple_of(*found)) : nb::none();
  }
  void remove(const std::string& key) const {
    const nb::gil_scoped_release released;
    storage_->remove(key);
  }

 private:
  static nb::tuple tuple_of(const StoredObject& one) {
    return nb::make_tuple(text(one.key), one.bytes, one.modified, text(one.etag));
  }
  std::unique_ptr<Storage> storage_;
};

}  // namespace

void bind_storage(nb::module_& module) {
  nb::class_<OpenStorage>(module, "Storage")
      .def(nb::init<nb::handle>())
      .def("list", &OpenStorage::list)
      .def("find", &OpenStorage::find)
      .def("remove", &OpenStorage::remove);
}

void name_for_core(std::string& path) {
  if (path.find("://") == std::string::npos) {
    return;
  }
  const nb::object url =
      own(PyUnicode_DecodeUTF8(path.data(), static_cast<Py_ssize_t>(path.size()), "surrogateescape"));
  const nb::object named = imported("stele._urls", "name_for_core")(url);
  if (named.is_none()) {
    return;
  }
  path = nb::cast<std::string>(named);
  const std::string scheme = path.substr(0, path.find("://"));
  Schemes& all = schemes();
  const std::lock_guard lock(all.mutex);
  if (all.names.insert(scheme).second) {
    register_storage(scheme, &open_python_storage);
  }
}

bool read_by_python(const std::string& path) {
  const std::size_t end = path.find("://");
  if (end == std::string::npos) {
    return false;
  }
  Schemes& all = schemes();
  const std::lock_guard lock(all.mutex);
  return all.names.contains(std::string_view(path).substr(0, end));
}

}  // namespace stele::python

#include "streams.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "stele/error.hpp"
#include "storage.hpp"

namespace stele::python {
namespace {

/// The descriptor of an object of the module io that reads or writes a regular file; -1 for others.
int regular_file(nb::handle file) {
  static constexpr const char* kinds[] = {"FileIO", "BufferedReader", "BufferedWriter", "BufferedRandom"};
  const nb::object io = nb::module_::import_("io");
  if (!std::any_of(std::begin(kinds), std::end(kinds),
                   [&](const char* kind) { return file.type().is(io.attr(kind)); })) {
    return -1;
  }
  struct stat status{};
  int fd = -1;
  try {
    fd = nb::cast<int>(file.attr("fileno")());
  } catch (nb::python_error&) {
    return -1;
  }
  return ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode) ? fd : -1;
}

}  // namespace

bool path_of(nb::handle object, std::string& path) {
  if (!PyUnicode_Check(object.ptr()) && !PyBytes_Check(object.ptr()) && !nb::hasattr(object, "__fspath__")) {
    return false;
  }
  const nb::object bytes = imported("os", "fsencode")(object);
  path.assign(PyBytes_AsString(bytes.ptr()), static_cast<std::size_t>(PyBytes_Size(bytes.ptr())));
  name_for_core(path);
  return true;
}

Path path_from(nb::handle object) {
  std::string path;
  if (!path_of(object, path)) {
    raise(PyExc_TypeError, "expected a path, found " + class_of(object));
  }
  return Path(path);
}

nb::object memory_view(Bytes bytes, int access) {
  return own(PyMemoryView_FromMemory(reinterpret_cast<char*>(const_cast<std::byte*>(bytes.data())),
                                     static_cast<Py_ssize_t>(bytes.size()), access));
}

FileSink::FileSink(nb::handle file) : file_(nb::borrow(file)) {
  if (!nb::hasattr(file, "write")) {
    raise(PyExc_TypeError, "expected a path or a binary file, found " + class_of(file));
  }
  const int fd = regular_file(file);
  if (fd >= 0) {
    file.attr("flush")();
    descriptor_ = fd_sink(fd);
  }
}

FileSink::~FileSink() {
  const nb::gil_scoped_acquire gil;
  file_.reset();
}

void FileSink::write(Bytes bytes) {
  if (descriptor_ != nullptr) {
    return descriptor_->write(bytes);
  }
  const nb::gil_scoped_acquire gil;
  check(PyErr_CheckSignals());
  while (!bytes.empty()) {
    const nb::object view = memory_view(bytes);
    const nb::object written = file_.attr("write")(view);
    view.attr("release")();
    const std::size_t count =
        written.is_none() ? bytes.size() : static_cast<std::size_t>(nb::cast<std::uint64_t>(written));
    if (count == 0 || count > bytes.size()) {
      fail(Errc::io, "write() of the file object took no bytes");
    }
    bytes = bytes.subspan(count);
  }
}

void FileSink::close() {
  if (descriptor_ == nullptr) {
    return;
  }
  descriptor_->close();
  const nb::gil_scoped_acquire gil;
  const int fd = nb::cast<int>(file_.attr("fileno")());
  const off_t at = ::lseek(fd, 0, SEEK_CUR);
  if (at >= 0 && nb::cast<bool>(file_.attr("seekable")())) {
    file_.attr("seek")(static_cast<std::int64_t>(at));
  }
}

BytesSink::~BytesSink() {
  const nb::gil_scoped_acquire gil;
  Py_XDECREF(bytes_);
}

void BytesSink::resize(std::size_t size) {
  const nb::gil_scoped_acquire gil;
  if (size > static_cast<std::size_t>(PY_SSIZE_T_MAX)) {
    PyErr_NoMemory();
    throw nb::python_error();
  }
#ifdef Py_LIMITED_API
  PyObject* const made = own(PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(size))).release().ptr();
  std::copy_n(data_, std::min(size_, size), PyBytes_AsString(made));
  Py_XDECREF(std::exchange(bytes_, made));
#else
  if (bytes_ == nullptr) {
    bytes_ = own(PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(size))).release().ptr();
  } else {
    check(_PyBytes_Resize(&bytes_, static_cast<Py_ssize_t>(size)));  // drops it where that fails
  }
#endif
  data_ = PyBytes_AsString(bytes_);
  room_ = size;
}

void BytesSink::write(Bytes bytes) {
  if (bytes.size() > room_ - size_) {
    resize(std::max(size_ + bytes.size(), room_ + room_ / 2));
  }
  if (!bytes.empty()) {
    std::memcpy(data_ + size_, bytes.data(), bytes.size());
  }
  size_ += bytes.size();
}

nb::object BytesSink::take() {
  if (bytes_ == nullptr || size_ != room_) {
    resize(size_);
  }
  return nb::steal<nb::object>(std::exchange(bytes_, nullptr));
}

FileSource::FileSource(nb::handle file) : file_(nb::borrow(file)) {
  if (nb::hasattr(file, "name")) {
    std::string path;
    if (path_of(file.attr("name"), path)) {
      name_ = path;
    }
  }
  if (file.type().is(imported("io", "BytesIO"))) {
    start_ = nb::cast<std::uint64_t>(file.attr("tell")());
    const nb::object view = file.attr("getbuffer")();
    check(PyObject_GetBuffer(view.ptr(), &buffer_, PyBUF_SIMPLE));
    const Bytes all{static_cast<const std::byte*>(buffer_.buf), static_cast<std::size_t>(buffer_.len)};
    inner_ = memory_source(all.subspan(std::min<std::size_t>(static_cast<std::size_t>(start_), all.size())));
  } else if (const int fd = regular_file(file); fd >= 0) {
    start_ = nb::cast<std::uint64_t>(file.attr("tell")());
    fd_ = fd;
    if (::lseek(fd, static_cast<off_t>(start_), SEEK_SET) < 0) {
      fail(Errc::io, "cannot seek in the file");
    }
    inner_ = fd_source(fd);
  } else if (!nb::hasattr(file, "read")) {
    raise(PyExc_TypeError, "expected a path or a binary file, found " + class_of(file));
  }
}

FileSource::~FileSource() {
  const nb::gil_scoped_acquire gil;
  inner_.reset();
  if (buffer_.obj != nullptr) {
    PyBuffer_Release(&buffer_);
  }
  file_.reset();
}

std::size_t FileSource::take(MutableBytes into) {
  const nb::gil_scoped_acquire gil;
  check(PyErr_CheckSignals());
  const nb::object bytes = file_.attr("read")(into.size());
  if (bytes.is_none()) {
    fail(Errc::io, "the file object does not block: it has no bytes yet");
  }
  Py_buffer view;
  check(PyObject_GetBuffer(bytes.ptr(), &view, PyBUF_SIMPLE));
  const auto count = static_cast<std::size_t>(view.len);
  if (count <= into.size()) {
    std::memcpy(into.data(), view.buf, count);
  }
  PyBuffer_Release(&view);
  if (count > into.size()) {
    fail(Errc::io, "read() of the file object returned more bytes than it was asked for");
  }
  return count;
}

std::size_t FileSource::read(MutableBytes into) {
  if (inner_ != nullptr) {
    const std::size_t count = inner_->read(into);
    position_ += count;
    return count;
  }
  if (into.empty()) {
    return 0;
  }
  return take(into);
}

std::optional<std::size_t> FileSource::peek(MutableBytes into) {
  return inner_ != nullptr ? inner_->peek(into) : std::nullopt;
}

std::optional<std::uint64_t> FileSource::size() const { return inner_ != nullptr ? inner_->size() : std::nullopt; }

void FileSource::seek(std::uint64_t offset) {
  if (inner_ == nullptr) {
    return Source::seek(offset);
  }
  inner_->seek(offset);
  position_ = offset;
}

void FileSource::read_at(std::uint64_t offset, MutableBytes into) const {
  if (inner_ == nullptr) {
    return Source::read_at(offset, into);
  }
  inner_->read_at(offset, into);
}

Bytes FileSource::memory() const noexcept { return inner_ != nullptr ? inner_->memory() : Bytes{}; }

void FileSource::settle() {
  if (fd_ >= 0) {
    const off_t at = ::lseek(fd_, 0, SEEK_CUR);
    file_.attr("seek")(static_cast<std::int64_t>(at));
  } else if (inner_ != nullptr) {
    inner_.reset();
    PyBuffer_Release(&buffer_);
    buffer_ = {};
    file_.attr("seek")(start_ + position_);
  }
}

}  // namespace stele::python

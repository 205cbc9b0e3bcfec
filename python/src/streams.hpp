#pragma once
// Python's files as the library's Sinks and Sources.

#include <memory>
#include <string>

#include "python.hpp"
#include "stele/io.hpp"

namespace stele::python {

/// The path or URL that a str, bytes or os.PathLike means. False for other objects.
bool path_of(nb::handle object, std::string& path);
/// Throws: TypeError for other objects.
Path path_from(nb::handle object);

/// A memoryview; whoever gets it must not keep it.
nb::object memory_view(Bytes bytes, int access = PyBUF_READ);

/// Writes to an object with write(). A file of the system's is written through its descriptor, at its position.
class FileSink final : public Sink {
 public:
  /// Throws: TypeError for other objects.
  explicit FileSink(nb::handle file);
  ~FileSink() override;
  void write(Bytes bytes) override;
  /// Leaves the Python object at the position behind what was written.
  void close() override;

 private:
  nb::object file_;
  std::unique_ptr<Sink> descriptor_;
};

/// Collects what is written in a bytes object of Python's, without a copy at the end.
class BytesSink final : public Sink {
 public:
  BytesSink() = default;
  ~BytesSink() override;
  void write(Bytes bytes) override;
  /// What was written; call it once, at the end.
  nb::object take();

 private:
  void resize(std::size_t size);

  PyObject* bytes_ = nullptr;  // nobody else has it
  char* data_ = nullptr;       // of bytes_
  std::size_t room_ = 0;
  std::size_t size_ = 0;
};

/// Reads an object with read(), in order. One that lies in memory, or is a file of the system's, at any place.
class FileSource final : public Source {
 public:
  /// Throws: TypeError for other objects.
  explicit FileSource(nb::handle file);
  ~FileSource() override;
  std::size_t read(MutableBytes into) override;
  std::optional<std::size_t> peek(MutableBytes into) override;
  std::optional<std::uint64_t> size() const override;
  bool random_access() const noexcept override { return inner_ != nullptr && inner_->random_access(); }
  void seek(std::uint64_t offset) override;
  void read_at(std::uint64_t offset, MutableBytes into) const override;
  Bytes memory() const noexcept override;
  std::string name() const override { return name_; }

  /// Moves the Python object's position to where reading has got.
  void settle();

 private:
  std::size_t take(MutableBytes into);

  nb::object file_;
  std::string name_;
  Py_buffer buffer_{};             // of a BytesIO
  std::unique_ptr<Source> inner_;  // memory or a descriptor; null: read() of the object
  std::uint64_t start_ = 0;        // where the object was
  std::uint64_t position_ = 0;     // of inner_
  int fd_ = -1;
};

}  // namespace stele::python

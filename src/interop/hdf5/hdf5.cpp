#include "interop/hdf5/hdf5.hpp"

#include "stele/error.hpp"

#ifdef STELE_WITH_HDF5

#include <fcntl.h>
#include <hdf5.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "archive/convert.hpp"
#include "archive/value/any_array.hpp"
#include "base/stack.hpp"
#include "format/path/path.hpp"
#include "format/text/utf8.hpp"
#include "interop/array.hpp"
#include "io/read.hpp"
#include "stele/archive.hpp"

namespace stele {
namespace {

constexpr std::string_view placed = "hdf5:place";

/// An object of libhdf5's.
class Id {
 public:
  Id(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {
    if (id < 0) {
      fail_hdf5();
    }
  }
  Id(const Id&) = delete;
  Id& operator=(const Id&) = delete;
  ~Id() { close_(id_); }
  operator hid_t() const noexcept { return id_; }  // NOLINT(google-explicit-constructor): it is passed on as one

  /// Fails with what libhdf5 says.
  [[noreturn]] static void fail_hdf5() {
    std::string why;
    const auto take = [](unsigned, const H5E_error2_t* error, void* out) -> herr_t {
      auto& text = *static_cast<std::string*>(out);
      if (text.empty() && error->desc != nullptr) {
        text = error->desc;
      }
      return 0;
    };
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take, &why);
    fail(Errc::malformed, "libhdf5 cannot read it" + (why.empty() ? why : ": " + why));
  }

 private:
  const hid_t id_;
  herr_t (*const close_)(hid_t);
};

template <class Result>
Result checked(Result result) {
  if (result < 0) {
    Id::fail_hdf5();
  }
  return result;
}

/// What libhdf5 has for the whole program, set as reading wants it: it prints no errors and loads no plugins.
class Library {
 public:
  Library() {
    checked(H5open());
    H5Eget_auto2(H5E_DEFAULT, &print_, &data_);
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
    H5PLget_loading_state(&plugins_);
    H5PLset_loading_state(0);
  }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  ~Library() {
    H5PLset_loading_state(plugins_);
    H5Eclear2(H5E_DEFAULT);
    H5Eset_auto2(H5E_DEFAULT, print_, data_);
  }

 private:
  H5E_auto2_t print_ = nullptr;
  void* data_ = nullptr;
  unsigned plugins_ = 0;
};

/// IEEE binary16, which libhdf5 has no name for, of a copy of binary32.
void make_half(hid_t type) {
  checked(H5Tset_fields(type, 15, 10, 5, 0, 10));
  checked(H5Tset_ebias(type, 15));
  checked(H5Tset_precision(type, 16));
  checked(H5Tset_size(type, 2));
}

/// Elements in memory: what libhdf5 converts to, and what stele calls it.
struct Element {
  DType dtype;
  hid_t memory = H5I_INVALID_HID;  // 0: the type in the file
};

DType integer_type(std::size_t size, bool is_signed) {
  using K = DType::Kind;
  switch (size) {
    case 1:
      return is_signed ? K::int8 : K::uint8;
    case 2:
      return is_signed ? K::int16 : K::uint16;
    case 4:
      return is_signed ? K::int32 : K::uint32;
    case 8:
      return is_signed ? K::int64 : K::uint64;
    default:
      fail(Errc::unsupported, "integers of " + std::to_string(size) + " bytes");
  }
}

hid_t native_integer(std::size_t size, bool is_signed) {
  switch (size) {
    case 1:
      return is_signed ? H5T_NATIVE_INT8 : H5T_NATIVE_UINT8;
    case 2:
      return is_signed ? H5T_NATIVE_INT16 : H5T_NATIVE_UINT16;
    case 4:
      return is_signed ? H5T_NATIVE_INT32 : H5T_NATIVE_UINT32;
    default:
      return is_signed ? H5T_NATIVE_INT64 : H5T_NATIVE_UINT64;
  }
}

bool has_names(hid_t type, std::initializer_list<const char*> names) {
  if (H5Tget_nmembers(type) != static_cast<int>(names.size())) {
    return false;
  }
  unsigned member = 0;
  return std::all_of(names.begin(), names.end(), [&](const char* name) {
    char* const found = H5Tget_member_name(type, member++);
    const bool is_same = found != nullptr && std::strcmp(found, name) == 0;
    H5free_memory(found);
    return is_same;
  });
}

class Hdf5 {
 public:
  Hdf5(const Neighbour& file, hid_t root, std::uint64_t size)
      : file_(file), root_(root), bytes_(size), half_(H5Tcopy(H5T_IEEE_F32LE), H5Tclose) {
    make_half(half_);
  }

  Hdf5Content read() {
    const Id group(H5Gopen2(root_, "/", H5P_DEFAULT), H5Gclose);
    H5O_info_t info;
    checked(H5Oget_info(group, &info));
    groups_.insert(info.addr);
    Hdf5Content content;
    content.value = members(group, {}, 0);
    content.metadata = attributes(group);
    return content;
  }

 private:
  // --- Groups ---

  static std::vector<std::string> names_in(hid_t group) {
    std::vector<std::string> names;
    const auto take = [](hid_t, const char* name, const H5L_info_t*, void* out) -> herr_t {
      try {
        static_cast<std::vector<std::string>*>(out)->emplace_back(name);
        return 0;
      } catch (...) {  // no memory; nothing may pass through C
        return -1;
      }
    };
    checked(H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, nullptr, take, &names));
    return names;
  }

  Value members(hid_t group, const std::string& path, std::size_t depth) {
    if (depth >= file_.options.limits.depth || stack_is_low()) {
      fail(Errc::limit_exceeded, "groups in groups beyond " + std::to_string(depth));
    }
    std::vector<Value::Entry> entries;
    for (const std::string& name : names_in(group)) {
      std::string inner = path;
      append_step(inner, name);
      try {
        if (!is_utf8(name)) {
          fail(Errc::unsupported, "a name that is no UTF-8");
        }
        entries.emplace_back(Value(name), member(group, name, inner, depth));
      } catch (const Error& error) {
        rethrow_at(error, {.path = inner});
      }
    }
    return Value::make_map(std::move(entries));
  }

  Value member(hid_t group, const std::string& name, const std::string& path, std::size_t depth) {
    H5L_info_t link;
    checked(H5Lget_info(group, name.c_str(), &link, H5P_DEFAULT));
    if (link.type != H5L_TYPE_HARD) {
      fail(Errc::unsupported, "a link to another place or another file");
    }
    const Id object(H5Oopen(group, name.c_str(), H5P_DEFAULT), H5Oclose);
    H5O_info_t info;
    checked(H5Oget_info(object, &info));
    switch (H5Iget_type(object)) {
      case H5I_GROUP:
        if (!groups_.insert(info.addr).second) {
          fail(Errc::unsupported, "a group that is in the file at another place, too");
        }
        return members(object, path, depth + 1);
      case H5I_DATASET: {
        const auto known = datasets_.find(info.addr);
        return known != datasets_.end() ? known->second : datasets_[info.addr] = dataset(object);
      }
      default:
        fail(Errc::unsupported, "what is neither a group nor a dataset");
    }
  }

  Metadata attributes(hid_t group) {
    Metadata metadata;
    std::vector<std::string> names;
    const auto take = [](hid_t, const char* name, const H5A_info_t*, void* out) -> herr_t {
      try {
        static_cast<std::vector<std::string>*>(out)->emplace_back(name);
        return 0;
      } catch (...) {
        return -1;
      }
    };
    checked(H5Aiterate2(group, H5_INDEX_NAME, H5_ITER_INC, nullptr, take, &names));
    for (const std::string& name : names) {
      const Id attribute(H5Aopen(group, name.c_str(), H5P_DEFAULT), H5Aclose);
      const Id space(H5Aget_space(attribute), H5Sclose);
      if (H5Sget_simple_extent_type(space) != H5S_SCALAR || !is_utf8(name)) {
        continue;
      }
      const Id type(H5Aget_type(attribute), H5Tclose);
      try {
        const Value value = scalar(type, [&](hid_t memory, void* to) { checked(H5Aread(attribute, memory, to)); });
        if (value.is_text()) {
          metadata.emplace(name, value.text());
        } else if (value.is(ValueKind::boolean)) {
          metadata.emplace(name, value.boolean());
        } else if (value.is_number()) {
          const Number number = value.number();
          number.type == Number::Type::natural    ? metadata.emplace(name, number.bits)
          : number.type == Number::Type::negative ? metadata.emplace(name, static_cast<std::int64_t>(~number.bits))
                                                  : metadata.emplace(name, value.to<double>());
        }
      } catch (const Error& error) {
        if (error.code() != Errc::unsupported) {
          throw;
        }
      }
    }
    return metadata;
  }

  // --- Elements ---

  /// Fails for a type that no array has.
  Element element(hid_t type) const {
    const std::size_t size = H5Tget_size(type);
    switch (H5Tget_class(type)) {
      case H5T_INTEGER: {
        const bool is_signed = H5Tget_sign(type) == H5T_SGN_2;
        return {integer_type(size, is_signed), native_integer(size, is_signed)};
      }
      case H5T_FLOAT: {
        const bool is_half = size == 2 && H5Tget_ebias(type) == 15;
        if (is_half) {
          return {DType::Kind::float16, half_};
        }
        if (size != 4 && size != 8) {
          fail(Errc::unsupported, "floating-point numbers of " + std::to_string(size) + " bytes");
        }
        return size == 4 ? Element{DType::Kind::float32, H5T_NATIVE_FLOAT}
                         : Element{DType::Kind::float64, H5T_NATIVE_DOUBLE};
      }
      case H5T_ENUM: {
        if (size == 1 && has_names(type, {"FALSE", "TRUE"})) {
          return {DType::Kind::boolean, 0};
        }
        const Id super(H5Tget_super(type), H5Tclose);
        Element integers = element(super);
        integers.memory = 0;
        return integers;
      }
      case H5T_COMPOUND: {
        if (!has_names(type, {"r", "i"})) {
          fail(Errc::unsupported, "records");
        }
        const Id real(H5Tget_member_type(type, 0), H5Tclose);
        const Id imaginary(H5Tget_member_type(type, 1), H5Tclose);
        if (H5Tget_class(real) != H5T_FLOAT || H5Tequal(real, imaginary) <= 0 || H5Tget_size(real) * 2 != size ||
            (size != 8 && size != 16)) {
          fail(Errc::unsupported, "records");
        }
        return {size == 8 ? DType::Kind::complex64 : DType::Kind::complex128, 0};
      }
      case H5T_STRING:
        if (H5Tis_variable_str(type) > 0) {
          fail(Errc::unsupported, "texts of any length in several dimensions");
        }
        return {DType::fixed_bytes(static_cast<std::uint32_t>(size)), 0};
      default:
        fail(Errc::unsupported, "elements of a type that no array has");
    }
  }

  /// The type in memory for an Element without one: that of the file in this machine's byte order.
  static Id memory_type(hid_t type) {
    return H5Tget_class(type) == H5T_STRING ? Id(H5Tcopy(type), H5Tclose)
                                            : Id(H5Tget_native_type(type, H5T_DIR_ASCEND), H5Tclose);
  }

  /// A single value; `read` fills memory with it.
  template <class Read>
  Value scalar(hid_t type, const Read& read) {
    if (H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) > 0) {
      return texts(type, 1, read)[0];
    }
    const Element of = element(type);
    const std::uint64_t size = of.dtype.item_size();
    charge(size);
    std::vector<std::byte> bytes(static_cast<std::size_t>(size));
    if (of.memory != 0) {
      read(of.memory, bytes.data());
    } else {
      const Id memory = memory_type(type);
      read(memory, bytes.data());
    }
    if (H5Tget_class(type) == H5T_STRING) {
      std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      text.erase(std::min(text.find('\0'), text.size()));
      return Value(std::move(text));
    }
    const AnyArray array = AnyArray::copy_of(ArrayView(of.dtype, bytes.data(), Shape(), Order::row_major));
    check_booleans(array);
    if (has_parts(of.dtype)) {  // complex
      return array;
    }
    const Value one(AnyArray::copy_of(ArrayView(of.dtype, bytes.data(), 1)));
    return one.to<std::vector<Value>>()[0];
  }

  /// Texts of any length.
  template <class Read>
  std::vector<Value> texts(hid_t type, std::uint64_t count, const Read& read) {
    charge(count * (sizeof(char*) + sizeof(Value)));
    const Id memory(H5Tcopy(type), H5Tclose);
    std::vector<char*> found(static_cast<std::size_t>(count));
    struct Reclaim {
      std::vector<char*>& texts;
      ~Reclaim() {
        for (char* const text : texts) {
          H5free_memory(text);
        }
      }
    } const reclaim{found};
    read(memory, found.data());
    std::vector<Value> values;
    values.reserve(found.size());
    for (const char* const text : found) {
      const std::string_view one = text != nullptr ? text : "";
      charge(one.size());
      values.emplace_back(one);
    }
    return values;
  }

  Value dataset(hid_t dataset) {
    const Id type(H5Dget_type(dataset), H5Tclose);
    const Id space(H5Dget_space(dataset), H5Sclose);
    const Id plan(H5Dget_create_plist(dataset), H5Pclose);
    const H5D_layout_t layout = H5Pget_layout(plan);
    if (layout == H5D_VIRTUAL || (layout == H5D_CONTIGUOUS && H5Pget_external_count(plan) != 0)) {
      fail(Errc::unsupported, "elements that lie in other files");
    }
    const auto read = [&](hid_t memory, void* to) {
      checked(H5Dread(dataset, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, to));
    };
    switch (H5Sget_simple_extent_type(space)) {
      case H5S_NULL:
        return nullptr;
      case H5S_SCALAR:
        return scalar(type, read);
      default:
        break;
    }
    const int rank = checked(H5Sget_simple_extent_ndims(space));
    std::vector<hsize_t> extents(static_cast<std::size_t>(rank));
    checked(H5Sget_simple_extent_dims(space, extents.data(), nullptr));
    if (extents.size() > max_rank) {
      fail(Errc::unsupported, "an array of " + std::to_string(rank) + " dimensions");
    }
    Shape shape;
    std::for_each(extents.begin(), extents.end(), [&](hsize_t extent) { shape.push_back(extent); });
    if (rank == 1 && H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) > 0) {
      return Value::make_sequence(texts(type, shape[0], read));
    }
    const Element of = element(type);
    const ArrayHeader header{of.dtype, shape, Order::row_major};
    const std::uint64_t bytes = array_bytes(header);
    const bool is_as_in_memory = of.memory > 0 && H5Tequal(type, of.memory) > 0;
    const haddr_t offset = layout == H5D_CONTIGUOUS && is_as_in_memory ? H5Dget_offset(dataset) : HADDR_UNDEF;
    if (file_.mapping != nullptr && offset != HADDR_UNDEF && bytes > 0) {
      return place(offset, header);
    }
    charge(bytes);
    check_copy(file_, bytes, "libhdf5 must read it");
    AnyTarget target;
    std::byte* const to = target.memory(header, bytes, bytes, true);
    if (bytes > 0 && of.memory != 0) {
      read(of.memory, to);
    } else if (bytes > 0) {
      const Id memory = memory_type(type);
      if (H5Tget_size(memory) != of.dtype.item_size()) {
        fail(Errc::unsupported, "elements of a type that no array has");
      }
      read(memory, to);
    }
    AnyArray array(target.view(), target.buffer());
    check_booleans(array);
    return array;
  }

  /// Stands for an array that this process has before it.
  static Value place(std::uint64_t offset, const ArrayHeader& header) {
    const std::vector<std::uint64_t> extents(header.shape.begin(), header.shape.end());
    return Value::make_typed(
        std::string(placed),
        Value::make_sequence(
            {Value(offset), AnyArray::copy_of(ArrayView(header.dtype, nullptr, 0)), to_value(extents)}));
  }

  static void check_booleans(const AnyArray& array) {
    if (has_booleans(array.dtype()) && !booleans_are_valid(array.dtype(), array.view().data, array.shape().count())) {
      fail(Errc::malformed, "an array of bools with a byte that is neither 0 nor 1");
    }
  }

  /// A file of a few bytes may claim any shape: what was never written is filled in.
  void charge(std::uint64_t bytes) {
    constexpr std::uint64_t free = std::uint64_t{1} << 30;
    const Limits& limits = file_.options.limits;
    total_ += std::min(bytes, UINT64_MAX - total_);
    if (bytes > limits.allocation ||
        (total_ > free && total_ / std::max<std::uint64_t>(1, limits.expansion) > bytes_)) {
      fail(Errc::limit_exceeded, "its datasets would take " + std::to_string(total_) + " bytes, more than the limit");
    }
  }

  const Neighbour& file_;
  const hid_t root_;
  const std::uint64_t bytes_;  // of the file
  const Id half_;
  std::uint64_t total_ = 0;
  std::set<haddr_t> groups_;
  std::map<haddr_t, Value> datasets_;
};

/// Puts arrays where they are said to be.
Value with_arrays(const Value& value, const Neighbour& file) {
  if (stack_is_low()) {
    fail(Errc::limit_exceeded, "groups in groups, too deep for the stack of this thread");
  }
  if (value.is_map()) {
    std::vector<Value::Entry> entries;
    for (const auto& [name, item] : value.entries()) {
      entries.emplace_back(name, with_arrays(item, file));
    }
    return Value::make_map(std::move(entries));
  }
  if (value.is(ValueKind::typed) && value.type_name() == placed) {
    const auto extents = value.at(2).to<std::vector<std::uint64_t>>();
    return array_at(file, value.at(0).to<std::uint64_t>(),
                    {value.at(1).array().dtype(), Shape(extents), Order::row_major});
  }
  return value;
}

/// All plain bytes.
std::vector<std::byte> all_of(const Neighbour& file) {
  std::vector<std::byte> bytes;
  constexpr std::size_t step = std::size_t{1} << 20;
  for (std::size_t used = 0;;) {
    if (used > file.options.limits.allocation) {
      fail(Errc::limit_exceeded, "a file beyond the allocation limit");
    }
    bytes.resize(std::max(used + step, used + used / 2));
    const std::size_t got = read_up_to(file.source, MutableBytes(bytes).subspan(used));
    used += got;
    if (used < bytes.size()) {
      bytes.resize(used);
      return bytes;
    }
  }
}

Hdf5Content read_here(const Neighbour& file, Bytes held) {
  const Library quiet;
  const Id access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  checked(H5Pset_fclose_degree(access, H5F_CLOSE_STRONG));
  std::string name = file.path;
  if (held.empty()) {
    checked(H5Pset_fapl_sec2(access));
  } else {
    name = "/dev/null/image";  // of what is in memory there must be no file
    checked(H5Pset_fapl_core(access, std::size_t{1} << 20, 0));
    checked(H5Pset_file_image(access, const_cast<std::byte*>(held.data()), held.size()));  // it makes a copy
  }
  const Id opened(H5Fopen(name.c_str(), H5F_ACC_RDONLY, access), H5Fclose);
  return Hdf5(file, opened, held.empty() ? file.mapping->bytes().size() : held.size()).read();
}

// --- In a process of its own -----------------------------------------------------------------------------------------

enum class Answer : std::uint8_t { value, error };  // one byte, and an archive of it

/// Reads the file and writes what it found to a pipe. The child of a process with threads: it has none of them.
[[noreturn]] void answer(const Neighbour& file, Bytes held, int pipe, std::uint64_t bytes) {
  for (const int signal : {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGINT, SIGTERM, SIGPIPE, SIGALRM}) {
    std::signal(signal, SIG_DFL);
  }
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  const rlim_t seconds = 60 + (bytes >> 20);
  const rlimit time{seconds, seconds};
  ::setrlimit(RLIMIT_CPU, &time);
  // Ends the wait for a lock that another thread held at fork().
  ::alarm(static_cast<unsigned>(std::min<rlim_t>(10 * seconds, 1U << 30)));
  try {
    const auto to = fd_sink(pipe);
    const auto send = [&](Answer kind, const Value& value, const Metadata& metadata) {
      const auto byte = static_cast<std::byte>(kind);
      to->write({&byte, 1});
      save(*to, value, {.codec = "plain", .threads = 1, .metadata = metadata});
      to->close();
    };
    try {
      const Hdf5Content content = read_here(file, held);
      send(Answer::value, content.value, content.metadata);
    } catch (const Error& error) {
      send(Answer::error,
           Value::make_sequence({Value(static_cast<int>(error.code())), Value(error.message()), Value(error.path())}),
           {});
    }
    ::_exit(0);
  } catch (...) {
    ::_exit(1);
  }
}

/// The other process; it ends with this.
class Child {
 public:
  explicit Child(pid_t id) : id_(id) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (id_ > 0) {
      ::kill(id_, SIGKILL);
      wait();
    }
  }
  /// The signal that ended it, or 0.
  int wait() noexcept {
    int status = 0;
    while (::waitpid(id_, &status, 0) < 0 && errno == EINTR) {
    }
    id_ = 0;
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  }

 private:
  pid_t id_;
};

struct Descriptors {
  int read = -1;
  int write = -1;
  ~Descriptors() {
    close_write();
    ::close(read);
  }
  void close_write() noexcept {
    if (write >= 0) {
      ::close(std::exchange(write, -1));
    }
  }
};

}  // namespace

Hdf5Content read_hdf5(const Neighbour& file) {
  std::vector<std::byte> all;
  Bytes held;
  if (file.mapping == nullptr || file.options.offset != 0 || file.path.empty()) {
    held = file.mapping != nullptr ? file.mapping->bytes() : file.source.memory();
    if (held.empty()) {
      all = all_of(file);
      held = all;
    }
  }
  Descriptors pipe;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    fail(Errc::io, "no pipe to the process that reads HDF5");
  }
  pipe.read = ends[0];
  pipe.write = ends[1];
  const std::uint64_t bytes = held.empty() ? file.mapping->bytes().size() : held.size();
  const pid_t id = ::fork();
  if (id == 0) {
    answer(file, held, pipe.write, bytes);
  }
  if (id < 0) {
    fail(Errc::io, "no process to read HDF5 in");
  }
  Child child(id);
  pipe.close_write();
  Hdf5Content content;
  auto kind = Answer::error;
  try {
    const auto source = fd_source(pipe.read);
    std::byte first{};
    read_exactly(*source, {&first, 1});
    kind = static_cast<Answer>(first);
    Reader reader(*source, {.threads = 1, .limits = file.options.limits});
    content.value = reader.read<Value>();
    content.metadata = reader.metadata();
  } catch (const Error& error) {
    if (error.code() == Errc::limit_exceeded) {
      throw;
    }
    const int signal = child.wait();
    fail(Errc::malformed, "libhdf5 failed on it" + (signal != 0 ? ", by signal " + std::to_string(signal) : ""));
  }
  if (kind == Answer::value) {
    content.value = with_arrays(content.value, file);
    return content;
  }
  const auto [code, message, path] = content.value.to<std::tuple<int, std::string, std::string>>();
  fail(static_cast<Errc>(code), message, {.path = path});
}

}  // namespace stele

#else

namespace stele {

Hdf5Content read_hdf5(const Neighbour&) {
  fail(Errc::unsupported, "an HDF5 file, and this build of stele has no libhdf5");
}

}  // namespace stele

#endif

#include <algorithm>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "archive/value/later.hpp"
#include "base/stack.hpp"
#include "format/path/path.hpp"
#include "interop/npy/npy.hpp"
#include "interop/npy/npz.hpp"
#include "interop/ordered_dict.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

/// An array without dimensions.
template <class T>
AnyArray scalar(const T& value) {
  return AnyArray::copy_of(ArrayView(element_dtype<T>(), &value, Shape(), Order::row_major));
}

[[noreturn]] void refuse(const std::string& path, const std::string& what) {
  fail(Errc::unsupported, "a .npz file cannot hold " + what, {.path = path});
}

AnyArray number_array(const Number& number, const std::string& path) {
  const bool is_signed = number.bits <= static_cast<std::uint64_t>(INT64_MAX);
  switch (number.type) {
    case Number::Type::natural:
      return is_signed ? scalar(static_cast<std::int64_t>(number.bits)) : scalar(number.bits);
    case Number::Type::negative:
      if (!is_signed) {
        refuse(path, "an integer below -2^63");
      }
      return scalar(-1 - static_cast<std::int64_t>(number.bits));
    case Number::Type::float16: {
      float16 value;
      value.bits = static_cast<std::uint16_t>(number.bits);
      return scalar(value);
    }
    case Number::Type::float32:
      return scalar(__builtin_bit_cast(float, static_cast<std::uint32_t>(number.bits)));
    case Number::Type::float64:
      return scalar(__builtin_bit_cast(double, number.bits));
  }
  refuse(path, "this number");
}

struct Member {
  std::string name;
  AnyArray array = {};
  Bytes bytes = {};  // of a member that is not an array, or of one that was not read
  bool is_array = true;
  bool is_read = true;
  LaterArray* later = nullptr;  // instead of `array`, which is read only while it is written
};

/// Collects the members, so that nothing is written where something is refused.
class Flattener {
 public:
  std::vector<Member> members(const Value& value) {
    const Value& map = plain_dict(value);
    if (!map.is_map() && !map.is_record()) {
      fail(Errc::invalid_argument,
           "a .npz file holds a map of arrays, not a value of the kind " + std::string(to_string(map.kind())));
    }
    add_entries(map, {}, {}, 0);
    return std::move(members_);
  }

 private:
  void add(const Value& given, const std::string& path, std::string name, std::size_t depth) {
    const Value& value = plain_dict(given);
    if (depth > Limits().depth || stack_is_low()) {
      refuse_depth(path);
    }
    switch (value.kind()) {
      case ValueKind::array:
        return add_array(value, path, std::move(name));
      case ValueKind::boolean:
        return add_array(scalar(value.boolean()), path, std::move(name));
      case ValueKind::integer:
      case ValueKind::real:
        return add_array(number_array(value.number(), path), path, std::move(name));
      case ValueKind::bytes:
        if (npz_name(name)) {
          refuse(path, "a byte string under a name that ends in .npy, which would be read as an array");
        }
        return add_member({std::move(name), {}, value.bytes(), false}, path);
      case ValueKind::map:
      case ValueKind::record:
        if (value.empty()) {
          refuse(path, "an empty map inside another");
        }
        return add_entries(value, path, name + "/", depth + 1);
      case ValueKind::typed:
        return add_unread(value, path, std::move(name));
      default:
        refuse(path, "a value of the kind " + std::string(to_string(value.kind())));
    }
  }

  [[noreturn, gnu::noinline]] static void refuse_depth(const std::string& path) {
    fail(Errc::limit_exceeded, "maps in maps beyond " + std::to_string(Limits().depth), {.path = path});
  }

  /// The content of a member of another file, which was not read there. Not a part of add(), whose frames are many.
  [[gnu::noinline]] void add_unread(const Value& value, const std::string& path, std::string name) {
    if (value.type_name() != npz_unread || !value.content().is_record()) {
      refuse(path, "a typed value \"" + value.type_name() + "\"");
    }
    const Value* const content = value.content().find(npz_content);
    if (content == nullptr || !content->is(ValueKind::bytes)) {
      const Value* const reason = value.content().find(npz_reason);
      fail(Errc::unsupported,
           "a member that was not read: " + (reason != nullptr && reason->is_text() ? reason->text() : "no content"),
           {.path = path});
    }
    add_member({std::move(name), {}, content->bytes(), true, false}, path);
  }

  void add_entries(const Value& value, const std::string& path, const std::string& prefix, std::size_t depth) {
    const auto add_one = [&](std::string_view name, const Value& item) {
      std::string item_path = path;
      append_step(item_path, name);
      add(item, item_path, prefix + std::string(name), depth);
    };
    if (value.is_record()) {
      if (value.version() != 0) {
        refuse(path, "the version of a record");
      }
      for (std::size_t i = 0; i < value.size(); ++i) {
        add_one(value.names()[i], value.items()[i]);
      }
      return;
    }
    for (const auto& [key, item] : value.entries()) {
      if (!key.is_text()) {
        refuse(path, "a key that is no text");
      }
      add_one(key.text(), item);
    }
  }

  [[gnu::noinline]] void add_array(const Value& value, const std::string& path, std::string name) {
    LaterArray* const later = later_array(value);
    if (later == nullptr) {
      return add_array(value.array(), path, std::move(name));
    }
    require_dtype(later->header().dtype, path);
    add_member({.name = std::move(name), .later = later}, path);
  }
  static void require_dtype(const DType& dtype, const std::string& path) {
    if (!npy_header({dtype, Shape()})) {
      refuse(path, "elements that NumPy lacks: " + dtype.name());
    }
  }
  void add_array(AnyArray array, const std::string& path, std::string name) {
    require_dtype(array.dtype(), path);
    add_member({std::move(name), std::move(array), {}}, path);
  }

  void add_member(Member member, const std::string& path) {
    // An array and a byte string of one name would also have the same name when they are read.
    if (!names_.insert(member.name).second) {
      fail(Errc::duplicate_field, "a .npz file would have the name \"" + member.name + "\" twice", {.path = path});
    }
    constexpr std::size_t longest = 0xffff - 4;  // with ".npy", in a zip file
    if (member.name.size() > longest) {
      refuse(path, "a name of " + std::to_string(member.name.size()) + " bytes");
    }
    members_.push_back(std::move(member));
  }

  std::vector<Member> members_;
  std::unordered_set<std::string> names_;
};

}  // namespace

void write_npz(Sink& to, const Value& map, const NpzOptions& options) {
  const std::vector<Member> members = Flattener().members(map);
  ZipWriter zip(to, options.level, options.threads);
  for (const Member& member : members) {
    if (!member.is_array || !member.is_read) {
      zip.add(member.is_array ? member.name + ".npy" : member.name, {&member.bytes, 1});
      continue;
    }
    LaterArray* const later = member.later;
    // Where the checksum cannot be filled in, a stored member is read twice.
    if (later != nullptr && (options.level || to.patchable() || later->in_any_order())) {
      const std::string header = npy_header(later->header()).value();
      zip.add(member.name + ".npy", header.size() + later->bytes(), [&](const ZipWriter::Take& take) {
        take(std::as_bytes(std::span(header)));
        later->pass([&](Bytes piece) { take(piece); });
        return true;
      });
      continue;
    }
    const NpyFile file = npy_file(later != nullptr ? later->read() : member.array).value();
    zip.add(member.name + ".npy", file.parts());
  }
  zip.finish();
}

}  // namespace stele

#include "archive/sharded/part.hpp"

#include <array>
#include <vector>

#include "archive/linked/source.hpp"
#include "codec/first_bytes.hpp"
#include "format/frozen.hpp"
#include "format/links.hpp"
#include "stele/error.hpp"

namespace stele {

/// What a part holds under a name: an array or another value, as a type that can be saved.
struct WalkedPart {
  const ArrayView* array = nullptr;
  void (*walk)(OutVisitor& out, const void* value) = nullptr;
  const void* value = nullptr;
};
template <>
struct Visit<WalkedPart> {
  static void write(OutVisitor& out, const WalkedPart& part) {
    part.array != nullptr ? out.array(*part.array) : part.walk(out, part.value);
  }
  static void read(InVisitor&, WalkedPart&) {}
};
template <>
inline constexpr bool walk::may_be_null<WalkedPart> = true;

namespace shards {
namespace {

std::vector<std::uint64_t> list_of(const Shape& shape) { return {shape.begin(), shape.end()}; }

}  // namespace

void check_box(std::string_view name, const ArrayView& box, const Shape& whole, const Shape& first,
               const PartTable& table) {
  bool inside = box.shape.rank() == whole.rank() && first.rank() == whole.rank();
  for (std::size_t axis = 0; inside && axis < whole.rank(); ++axis) {
    inside = first[axis] <= whole[axis] && box.shape[axis] <= whole[axis] - first[axis];
  }
  if (!inside) {
    fail(Errc::invalid_argument, "a box " + box.shape.text() + " at " + first.text() + " is not inside " + whole.text(),
         {name, {}});
  }
  const auto known = table.arrays.find(std::string(name));
  if (known != table.arrays.end() &&
      (known->second.dtype != dtype_text(box.dtype) || known->second.shape != list_of(whole))) {
    fail(Errc::invalid_argument, "boxes of one array have one type and say the same extents", {name, {}});
  }
}

void check_new(std::string_view name, const PartTable& table) {
  if (table.values.contains(std::string(name))) {
    fail(Errc::invalid_argument, "a value of this name was put already", {name, {}});
  }
}

void PartWriter::put(std::string_view name, const ArrayView& box, const Shape& whole, const Shape& first) {
  check_box(name, box, whole, first, table_);
  ArrayOf& array =
      table_.arrays.try_emplace(std::string(name), ArrayOf{dtype_text(box.dtype), list_of(whole), {}}).first->second;
  const std::string key = "=" + std::string(name) + "#" + std::to_string(array.boxes.size());
  ArrayView alone = box;
  alone.buffer = nullptr;
  writer_.write(key, WalkedPart{.array = &alone});
  array.boxes.push_back({0, key, list_of(first), list_of(box.shape)});
}

void PartWriter::put_value(std::string_view name, void (*walk)(OutVisitor& out, const void* value), const void* value) {
  check_new(name, table_);
  const std::string key = "+" + std::string(name);
  table_.values.emplace(std::string(name), ValueOf{0, key});
  writer_.write(key, WalkedPart{.walk = walk, .value = value});
}

void PartWriter::close() {
  writer_.write(table_key, table_);
  writer_.close();
}

PartFile identify(std::string name, const Source& source) {
  const std::uint64_t size = source.size().value_or(0);
  std::array<std::byte, frozen::trailer_bytes> last{};
  if (size >= last.size()) {  // in a compressed file this is not a trailer, but it identifies the file as well
    source.read_at(size - last.size(), last);
  }
  return {std::move(name), file_id(last), size};
}

File open_part(const Storage& place, const PartFile& part, const LoadOptions& options) {
  const std::string folder = std::string(folder_name) + "/";
  if (part.name.find('/') == std::string::npos) {
    for (const std::string& name : {part.name, kept_name(part.name, part.id)}) {
      std::unique_ptr<Source> source;
      try {
        source = place.source(folder + name);
      } catch (const Error& error) {
        if (error.code() != Errc::not_found) {
          throw;
        }
        continue;
      }
      const PartFile found = identify(part.name, *source);
      if (found.id != part.id || found.bytes != part.bytes) {
        continue;
      }
      // A linked archive is opened by its path, as it refers to other files of its folder.
      return is_linked(first_bytes(*source)) ? open(Path(place.path_of(folder + name)), options)
                                             : open(std::move(source), options);
    }
  }
  fail(Errc::not_found,
       "the part " + part.name +
           " is missing, truncated or another one; it is gone if the archive was replaced after it "
           "was opened",
       {.file = place.path_of(folder + part.name)});
}

}  // namespace shards
}  // namespace stele

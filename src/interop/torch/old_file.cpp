// Reads the file format that torch.save() wrote before 2020, and writes today if told to: pickles of a magic number,
// the version, the machine's properties, the object and the keys of its storages; then each storage, preceded by its
// size.

#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "interop/array.hpp"
#include "interop/torch/storage.hpp"
#include "interop/torch/torch.hpp"
#include "io/wrap/slice.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::string_view magic = "0x1950a86a20f9469cfc6c";
constexpr std::string_view magic_opcode("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 12);
constexpr std::uint64_t version = 1001;

bool is_integer(const Value& value, std::uint64_t number) {
  return value.is(ValueKind::integer) && value.number().type == Number::Type::natural && value.number().bits == number;
}

void check_head(PickleReader& reader) {
  const Value first = reader.next();
  if (!first.is(ValueKind::typed) || first.type_name() != "py:int" || first.content() != Value(magic)) {
    fail(Errc::malformed, "no file of torch.save()");
  }
  if (!is_integer(reader.next(), version)) {
    fail(Errc::unsupported, "a file of torch.save() of an unknown version");
  }
  const Value machine = reader.next();
  const Value* const little = machine.is_map() ? machine.find("little_endian") : nullptr;
  if (little == nullptr || !little->is(ValueKind::boolean) || !little->boolean()) {
    fail(Errc::unsupported, "a file of torch.save() of a big-endian machine");
  }
}

/// A file with random access.
class OldFile {
 public:
  OldFile(const Neighbour& file, unsigned inside) : file_(file), inside_(inside), size_(file.source.size().value()) {}

  Value read() {
    // The storages follow the pickle, which has their types: read the pickle once for the types, again for the object.
    PickleOptions first;
    first.inside = inside_;
    first.persistent = [&](const Value& id) {
      if (const std::optional<StorageId> storage = storage_id(id)) {
        ids_.emplace(storage->key, *storage);
      }
      return Value();
    };
    file_.source.seek(0);
    const Neighbour parts{file_.source, nullptr, {}, file_.options};
    PickleReader reader(parts, first);
    check_head(reader);
    const std::uint64_t begin = reader.position();
    static_cast<void>(reader.next());
    const Value keys = reader.next();
    place_storages(keys, reader.position());

    Storages storages([&](const StorageId& id) { return storage(id); });
    PickleOptions second;
    second.inside = inside_;
    second.persistent = [&](const Value& id) { return storages.at(id); };
    second.persistent_bytes = size_;
    SliceSource rest(file_.source, begin, size_ - begin);
    return PickleReader({rest, nullptr, {}, file_.options}, second).next();
  }

 private:
  void place_storages(const Value& keys, std::uint64_t at) {
    if (!keys.is_sequence()) {
      fail(Errc::malformed, "a file of torch.save() without a list of storages");
    }
    for (const Value& key : keys.items()) {
      const auto id = key.is_text() ? ids_.find(key.text()) : ids_.end();
      if (id == ids_.end()) {
        fail(Errc::malformed, "a storage that no tensor has");
      }
      std::byte count[8];
      if (size_ - std::min(size_, at) < sizeof(count)) {
        fail(Errc::truncated, "the file ends before its storages do");
      }
      file_.source.read_at(at, count);
      at += sizeof(count);
      if (load_le<std::uint64_t>(count) != id->second.count) {
        fail(Errc::malformed, "the storage " + key.text() + " with " + std::to_string(load_le<std::uint64_t>(count)) +
                                  " elements instead of " + std::to_string(id->second.count));
      }
      const auto bytes = checked_multiply(id->second.count, id->second.dtype.item_size());
      if (!bytes || *bytes > size_ - at) {
        fail(Errc::truncated, "the file ends before its storages do");
      }
      if (!places_.emplace(key.text(), at).second) {
        fail(Errc::malformed, "the storage " + key.text() + " is there twice");
      }
      at += *bytes;
    }
    if (at != size_) {
      fail(Errc::malformed, "it goes on after its storages", {.offset = at});
    }
  }

  AnyArray storage(const StorageId& id) {
    const auto place = places_.find(id.key);
    if (place == places_.end()) {
      fail(Errc::not_found, "the storage " + id.key + " is not there");
    }
    const StorageId& known = ids_.at(id.key);
    if (id.count != known.count || id.dtype != known.dtype) {
      fail(Errc::malformed, "the storage " + id.key + " in two forms");
    }
    const std::uint64_t here = place->second;
    file_.source.seek(here);
    return array_at(file_, here, {id.dtype, {id.count}, Order::row_major});
  }

  const Neighbour& file_;
  const unsigned inside_;
  const std::uint64_t size_;
  std::map<std::string, StorageId> ids_;
  std::map<std::string, std::uint64_t> places_;  // of the elements
};

}  // namespace

bool may_be_old_torch(Bytes first) noexcept {
  const std::string_view text(reinterpret_cast<const char*>(first.data()), first.size());
  if (!text.starts_with('\x80') || text.size() < 2) {
    return false;
  }
  const std::size_t frame = text.size() > 2 && text[2] == '\x95' ? 9 : 0;
  return text.size() > 2 + frame && text.substr(2 + frame).starts_with(magic_opcode);
}

Value read_old_torch(const Neighbour& file, unsigned inside) {
  if (file.mapping != nullptr) {
    const std::unique_ptr<Source> mapped = memory_source(file.mapping->bytes());
    return OldFile({*mapped, file.mapping, {}, file.options}, inside).read();
  }
  if (file.source.random_access()) {
    return OldFile(file, inside).read();
  }
  std::vector<std::byte> whole(std::size_t{64} << 10);  // grows as data arrives
  std::size_t used = 0;
  while (const std::size_t got = file.source.read(MutableBytes(whole).subspan(used))) {
    used += got;
    if (used == whole.size()) {
      whole.resize(2 * used);
    }
  }
  const std::unique_ptr<Source> memory = memory_source(Bytes(whole).first(used));
  return OldFile({*memory, nullptr, {}, file.options}, inside).read();
}

}  // namespace stele

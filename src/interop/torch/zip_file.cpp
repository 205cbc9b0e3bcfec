#include <algorithm>
#include <string>
#include <string_view>

#include "archive/convert.hpp"
#include "base/bytes.hpp"
#include "interop/array.hpp"
#include "interop/torch/storage.hpp"
#include "interop/torch/torch.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::string_view pickle_name = "data.pkl";

std::string_view folder_of(const ZipMember& pickle) noexcept {
  return std::string_view(pickle.name).substr(0, pickle.name.size() - pickle_name.size());
}

/// A copy whose elements can be looked at as any type. In a mapping they may lie anywhere.
AnyArray aligned(const ZipContents& contents, const ZipMember& member, AnyArray array) {
  constexpr std::uintptr_t enough = 16;
  if (array.view().shape.count() == 0 || reinterpret_cast<std::uintptr_t>(array.view().data) % enough == 0) {
    return array;
  }
  try {
    check_copy(contents.file(), member.bytes, "it is not aligned in the file");
  } catch (const Error& error) {
    rethrow_in(error, member);
  }
  return AnyArray::copy_of(array.view());
}

}  // namespace

const ZipMember* torch_pickle(const ZipContents& contents) noexcept {
  for (const ZipMember& member : contents.zip().members()) {
    const std::string_view name = member.name;
    if (!name.ends_with(pickle_name) || (name.size() > pickle_name.size() && !folder_of(member).ends_with('/'))) {
      continue;
    }
    const std::string folder(folder_of(member));
    if (contents.find(folder + "version") != nullptr) {
      return &member;
    }
  }
  return nullptr;
}

Value read_torch(const ZipContents& contents, const ZipMember& pickle) {
  const std::string folder(folder_of(pickle));
  bool is_big_endian = false;
  if (const ZipMember* const order = contents.find(folder + "byteorder"); order != nullptr && order->bytes <= 16) {
    const std::vector<std::byte> text = zip_bytes(contents.zip(), *order);
    is_big_endian = std::string_view(reinterpret_cast<const char*>(text.data()), text.size()) == "big";
  }
  // Models of TorchScript have their tensors elsewhere.
  std::uint64_t storage_bytes = 0;
  for (const ZipMember& member : contents.zip().members()) {
    storage_bytes += std::min(member.bytes, UINT64_MAX - storage_bytes);
  }
  Storages storages([&](const StorageId& id) {
    const ZipMember* const member = contents.find(folder + "data/" + id.key);
    if (member == nullptr) {
      fail(Errc::not_found, "the storage " + id.key + " is not there");
    }
    if (!is_big_endian || id.dtype.item_size() == 1) {
      if (is_big_endian && !id.is_typed) {
        fail(Errc::unsupported, "a storage without a type in a file of a big-endian machine");
      }
      AnyArray array = contents.array(*member, {id.dtype, {id.count}, Order::row_major});
      return id.is_typed ? array : aligned(contents, *member, std::move(array));
    }
    try {
      check_copy(contents.file(), member->bytes, "its numbers are big-endian");
    } catch (const Error& error) {
      rethrow_in(error, *member);
    }
    const AnyArray stored = contents.array(*member, {id.dtype, {id.count}, Order::row_major});
    AnyArray array = AnyArray::copy_of(stored.view());
    swap_elements(id.dtype, array.buffer()->mutable_data(), id.count);
    return array;
  });
  const std::unique_ptr<Source> source = contents.zip().open(pickle);
  PickleOptions options;
  options.persistent = [&](const Value& id) { return storages.at(id); };
  options.persistent_bytes = storage_bytes;
  try {
    Value value = read_pickle({*source, nullptr, {}, contents.file().options}, options);
    check_rest(*source);
    return value;
  } catch (const Error& error) {
    rethrow_in(error, pickle);
  }
}

}  // namespace stele

#include "services/store/shard/list.hpp"

#include <fcntl.h>

#include <cerrno>

#include "base/bytes.hpp"
#include "base/checksum.hpp"
#include "io/descriptor.hpp"
#include "services/store/index/state_record.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::size_t head_size = 2 * 8;  // checksum of the rest, number of the store

const std::string list_name = "shards.list";

}  // namespace

void write_shard_list(const Folder& folder, std::uint64_t store, const std::vector<ShardEntry>& table) {
  std::vector<std::byte> all(head_size);
  store_le<std::uint64_t>(all.data() + 8, store);
  for (const ShardEntry& entry : table) {
    const std::vector<std::byte> bytes = encode_shard(entry);
    all.insert(all.end(), bytes.begin(), bytes.end());
  }
  store_le<std::uint64_t>(all.data(), xxh3_64(std::span(all).subspan(8)));
  const std::string made = list_name + ".new";
  const std::string path = folder.path() + made;
  {
    OwnedDescriptor file = folder.open_file(made, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (!file.is_open()) {
      fail_call("create", path, errno);
    }
    write_all(file.get(), all, path);
  }
  if (folder.rename(made, list_name) != 0) {
    fail_call("rename", path, errno);
  }
}

std::optional<ShardList> read_shard_list(const Folder& folder) {
  try {
    const OwnedDescriptor file = folder.open_file(list_name, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (!file.is_open()) {
      return std::nullopt;
    }
    std::vector<std::byte> all;
    constexpr std::size_t piece = std::size_t{64} << 10;
    for (std::size_t got = piece; got > 0;) {
      const std::size_t before = all.size();
      all.resize(before + piece);
      got = read_some(file.get(), std::span(all).subspan(before), list_name);
      all.resize(before + got);
    }
    if (all.size() < head_size || load_le<std::uint64_t>(all.data()) != xxh3_64(std::span(all).subspan(8))) {
      return std::nullopt;
    }
    ShardList list;
    list.store = load_le<std::uint64_t>(all.data() + 8);
    const std::size_t size = encode_shard({}).size();
    for (std::size_t at = head_size; at + size <= all.size(); at += size) {
      list.table.push_back(decode_shard(std::span(all).subspan(at, size)));
    }
    return list;
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace stele

#include "services/store/shard/shards.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>

namespace stele {
namespace {

constexpr std::string_view extension = ".shard";
constexpr std::size_t digits = 8;

}  // namespace

std::string Shards::name(std::uint32_t number) {
  char name[32];
  std::snprintf(name, sizeof name, "%0*u.shard", static_cast<int>(digits), number);
  return name;
}

std::optional<std::uint32_t> shard_number(const std::string& file_name) {
  if (file_name.size() < digits + extension.size() || !file_name.ends_with(extension)) {
    return std::nullopt;
  }
  const char* const end = file_name.data() + file_name.size() - extension.size();
  std::uint32_t number = 0;
  const auto [stop, error] = std::from_chars(file_name.data(), end, number);
  const bool good = stop == end && error == std::errc{} && number > 0 && number <= most_shards;
  return good ? std::optional(number) : std::nullopt;
}

std::shared_ptr<Shard> Shards::get(std::uint32_t number) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<Shard>& shard = open_[number];
  if (shard == nullptr) {
    try {
      shard = Shard::open(folder_, name(number), number, reserve_);
      if (shard->header().store != store_) {
        shard->fail_damaged("is in a shard of another store", 0);
      }
    } catch (...) {
      open_.erase(number);
      throw;
    }
  }
  return shard;
}

const Shard& Shards::get(std::uint32_t number, ShardCache& cache) {
  const std::uint64_t version = version_;
  if (cache.version != version) {
    cache.clear();
    cache.version = version;
  }
  std::shared_ptr<Shard>& shard = cache.shards[number];
  if (shard == nullptr) {
    try {
      shard = get(number);
    } catch (...) {
      cache.shards.erase(number);
      throw;
    }
  }
  return *shard;
}

bool Shards::keep(const std::vector<ShardEntry>& table) {
  const std::lock_guard lock(mutex_);
  const std::size_t gone = std::erase_if(open_, [&](const auto& open) {
    return std::none_of(table.begin(), table.end(),
                        [&](const ShardEntry& entry) { return entry.number == open.first; });
  });
  version_ += gone > 0 ? 1 : 0;
  return gone > 0;
}

void Shards::forget(std::uint32_t number) {
  const std::lock_guard lock(mutex_);
  open_.erase(number);
  ++version_;
}

}  // namespace stele

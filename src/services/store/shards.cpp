#include "services/store/shards.hpp"

#include <charconv>
#include <cstdio>

namespace stele {
namespace {

constexpr std::string_view extension = ".shard";
constexpr std::size_t digits = 8;

}  // namespace

std::string Shards::path(std::uint32_t number) const {
  char name[32];
  std::snprintf(name, sizeof name, "/%0*u.shard", static_cast<int>(digits), number);
  return folder_ + name;
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
      shard = Shard::open(path(number), number, reserve_);
    } catch (...) {
      open_.erase(number);
      throw;
    }
  }
  return shard;
}

void Shards::add(std::shared_ptr<Shard> shard) {
  const std::lock_guard lock(mutex_);
  open_[shard->number()] = shard;
}

void Shards::keep(const std::vector<ShardEntry>& table) {
  std::unordered_map<std::uint32_t, std::shared_ptr<Shard>> kept;
  const std::lock_guard lock(mutex_);
  for (const ShardEntry& entry : table) {
    if (const auto found = open_.find(entry.number); found != open_.end()) {
      kept.insert(*found);
    }
  }
  open_.swap(kept);
}

void Shards::forget(std::uint32_t number) {
  const std::lock_guard lock(mutex_);
  open_.erase(number);
}

}  // namespace stele

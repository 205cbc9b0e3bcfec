#include "services/store/api/prefetch.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <tuple>
#include <vector>

#include "services/store/api/core.hpp"

namespace stele {
namespace {

constexpr std::uint64_t joined_gap = std::uint64_t{64} << 10;  // smaller gaps between records are read too

/// The number of page faults of this thread that waited for the device.
long device_faults() noexcept {
  struct rusage usage{};
  return ::getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_majflt : 0;
}

}  // namespace

Prefetcher::Prefetcher() : faults_(device_faults()) {}

void Prefetcher::ahead(const StoreSnapshot& snapshot, std::span<const Position> positions) {
  const long faults = device_faults();
  const bool is_cold = std::exchange(first_, false) || faults != faults_ || snapshot.is_remote();
  faults_ = faults;
  if (!is_cold || positions.empty()) {
    return;
  }
  std::vector<Position> sorted(positions.begin(), positions.end());
  std::sort(sorted.begin(), sorted.end(), [](const Position& a, const Position& b) {
    return std::tie(a.shard, a.offset) < std::tie(b.shard, b.offset);
  });
  Position run = sorted[0];
  std::vector<Extent> remote;
  const auto ask = [&] {
    const Shard& shard = snapshot.shard(run.shard);
    if (shard.is_remote()) {
      remote.push_back({run.offset, run.length});
    } else {
      shard.prefetch(run.offset, run.length);
    }
  };
  for (const Position& next : sorted) {
    if (next.shard == run.shard && next.offset <= run.offset + run.length + joined_gap) {
      run.length = std::max(run.length, next.offset + next.length - run.offset);
    } else {
      ask();
      run = next;
    }
  }
  ask();
  if (!remote.empty()) {  // all of the one shard of such a store
    snapshot.shard(run.shard).fetch(std::move(remote));
  }
}

}  // namespace stele

#include "services/checkpoint/snapshot.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "archive/value/nodes.hpp"
#include "archive/write/elements.hpp"
#include "archive/write/shared_buffers.hpp"
#include "base/threads/crew.hpp"
#include "base/threads/interruption.hpp"
#include "base/threads/threads.hpp"
#include "format/array/typed.hpp"

namespace stele {

// --- Memory ----------------------------------------------------------------------------------------------------------

struct SnapshotMemory::Pool {
  std::mutex mutex;
  std::vector<std::shared_ptr<Buffer>> free;
};

SnapshotMemory::SnapshotMemory() : pool_(std::make_shared<Pool>()) {}

std::shared_ptr<Buffer> SnapshotMemory::take(std::size_t bytes) {
  std::shared_ptr<Buffer> found;
  {
    const std::lock_guard lock(pool_->mutex);
    // The smallest that is large enough, and not much larger than needed.
    auto best = pool_->free.end();
    for (auto i = pool_->free.begin(); i != pool_->free.end(); ++i) {
      if ((*i)->size() >= bytes && (*i)->size() / 2 <= bytes &&
          (best == pool_->free.end() || (*i)->size() < (*best)->size())) {
        best = i;
      }
    }
    if (best != pool_->free.end()) {
      found = std::move(*best);
      *best = std::move(pool_->free.back());
      pool_->free.pop_back();
    }
  }
  if (found == nullptr) {
    found = Buffer::allocate(bytes);
  }
  const std::weak_ptr<Pool> pool = pool_;
  const std::shared_ptr<void> owner(found.get(), [kept = found, pool](void*) mutable {
    if (const std::shared_ptr<Pool> still = pool.lock()) {
      const std::lock_guard lock(still->mutex);
      still->free.push_back(std::move(kept));
    }
  });
  return Buffer::wrap(found->mutable_data(), bytes, true, owner);
}

void SnapshotMemory::release() {
  const std::lock_guard lock(pool_->mutex);
  pool_->free.clear();
}

// --- Copies ----------------------------------------------------------------------------------------------------------

namespace {

constexpr std::size_t piece_bytes = std::size_t{1} << 20;
constexpr std::size_t parallel_bytes = std::size_t{4} << 20;

/// Which bytes of each buffer the arrays of an object use.
class Extents final : public ArrayScanner {
 public:
  /// Bytes that overlapping arrays use.
  struct Shared {
    Extent extent;
    std::size_t arrays = 1;
    std::shared_ptr<Buffer> copy;
  };

  explicit Extents(const TypeRegistry* types) : ArrayScanner(types) {}
  void array(const ArrayView& view) override {
    if (view.buffer == nullptr || view.byte_count() == 0) {
      return;
    }
    Extent extent = extent_of(view);
    std::size_t arrays = 1;
    auto& ranges = ranges_.at(view.buffer);
    std::erase_if(ranges, [&](const auto& range) {
      if (range.extent.last <= extent.first || extent.last <= range.extent.first) {
        return false;
      }
      extent = {std::min(extent.first, range.extent.first), std::max(extent.last, range.extent.last)};
      arrays += range.arrays;
      return true;
    });
    ranges.push_back({extent, arrays, nullptr});
  }
  /// Null for an array that was not seen.
  Shared* find(const ArrayView& view) {
    auto* const ranges = ranges_.find(view.buffer);
    if (ranges == nullptr) {
      return nullptr;
    }
    const Extent extent = extent_of(view);
    for (Shared& range : *ranges) {
      if (range.extent.first <= extent.first && extent.last <= range.extent.last) {
        return &range;
      }
    }
    return nullptr;
  }

 private:
  BufferMap<std::vector<Shared>> ranges_;
};

class Copier {
 public:
  Copier(Extents& extents, unsigned threads, SnapshotMemory& memory)
      : extents_(extents), crew_(thread_count(threads)), memory_(memory) {}

  AnyArray copy(const ArrayView& view) {
    interruption_point();
    Extents::Shared* const shared = view.buffer == nullptr || view.byte_count() == 0 ? nullptr : extents_.find(view);
    if (shared == nullptr || shared->arrays == 1) {
      const Order order = stored_order(view);
      const auto bytes = static_cast<std::size_t>(view.byte_count());
      std::shared_ptr<Buffer> buffer = memory_.take(bytes);
      if (view.is_dense(order)) {
        copy_bytes(view.data, bytes, buffer->mutable_data());
      } else {
        gather(view, order, 0, view.shape.count(), buffer->mutable_data());
      }
      const ArrayView made(view.dtype, buffer->data(), view.shape, order);
      return AnyArray(made, std::move(buffer));
    }
    if (shared->copy == nullptr) {
      const auto bytes = static_cast<std::size_t>(shared->extent.last - shared->extent.first);
      shared->copy = memory_.take(bytes);
      copy_bytes(shared->extent.first, bytes, shared->copy->mutable_data());
    }
    ArrayView made = view;
    made.data = shared->copy->data() + (view.data - shared->extent.first);
    return ValueAccess::array(made, shared->copy, true);
  }

 private:
  /// With all threads: one alone does not reach the memory's speed.
  void copy_bytes(const std::byte* from, std::size_t bytes, std::byte* to) {
    if (bytes < parallel_bytes) {
      std::memcpy(to, from, bytes);
      return;
    }
    std::atomic<std::size_t> next{0};
    crew_.run([&] {
      for (;;) {
        const std::size_t at = next.fetch_add(piece_bytes);
        if (at >= bytes) {
          return;
        }
        std::memcpy(to + at, from + at, std::min(piece_bytes, bytes - at));
      }
    });
  }

  Extents& extents_;
  Crew crew_;
  SnapshotMemory& memory_;
};

}  // namespace

Value snapshot(void (*walk)(OutVisitor& out, const void* object), const void* object, const TypeRegistry* types,
               unsigned threads, SnapshotMemory& memory) {
  Extents extents(types);
  walk(extents, object);
  extents.finish();
  Copier copier(extents, threads, memory);
  ValueBuilder builder(types, [&](const ArrayView& view) { return copier.copy(view); });
  walk(builder.visitor(), object);
  return builder.finish();
}

}  // namespace stele

#include "archive/shared_table.hpp"

#include <algorithm>
#include <limits>

namespace stele {
namespace {

constexpr std::uintptr_t page_bytes = 4096;

std::uintptr_t page_of(const std::byte* at) noexcept { return reinterpret_cast<std::uintptr_t>(at) / page_bytes; }
std::uint16_t offset_of(const std::byte* at) noexcept {
  return static_cast<std::uint16_t>(reinterpret_cast<std::uintptr_t>(at) % page_bytes);
}

}  // namespace

SharedTable::Page* SharedTable::find_page(PageNumber number) {
  if (last_page_ != nullptr && last_number_ == number) {
    return last_page_;
  }
  const auto found = pages_.find(number);
  if (found == pages_.end()) {
    return nullptr;
  }
  last_number_ = number;
  last_page_ = &found->second;
  return last_page_;
}

SharedTable::Met SharedTable::meet(const SharedOut& object) {
  const auto* const first = static_cast<const std::byte*>(object.object());
  if (Page* const page = find_page(page_of(first))) {
    const std::uint16_t offset = offset_of(first);
    auto slot = std::lower_bound(page->begin(), page->end(), offset,
                                 [](const Slot& s, std::uint16_t wanted) { return s.offset < wanted; });
    for (; slot != page->end() && slot->offset == offset; ++slot) {
      Entry& known = entries_[slot->entry];
      if (known.first == first && *known.type == object.type()) {
        if (known.unowned) {
          return {Met::What::unowned, nullptr};
        }
        if (!known.owner.expired()) {
          return {Met::What::again, &known.value};
        }
        remove(slot->entry);  // another object was at this address
        break;
      }
    }
  }
  Entry entry;
  entry.first = first;
  entry.last = first + object.bytes();
  entry.type = &object.type();
  entry.owner = object.owner();
  entry.unowned = entry.owner.expired();
  if (overlap_ == Overlap::refused && !remove_overlapping(entry.first, entry.last)) {
    return {Met::What::overlap, nullptr};
  }
  if (entries_.size() - free_.size() >= drop_at_) {
    drop_dead();
  }
  std::uint32_t index = 0;
  if (free_.empty()) {
    if (entries_.size() == std::numeric_limits<std::uint32_t>::max()) {
      fail(Errc::limit_exceeded, "more than 2^32 shared objects");
    }
    index = static_cast<std::uint32_t>(entries_.size());
    entries_.push_back(std::move(entry));
  } else {
    index = free_.back();
    free_.pop_back();
    entries_[index] = std::move(entry);
  }
  enter(index);
  return {Met::What::first, &entries_[index].value};
}

/// Removes expired entries that overlap these bytes; false if a live one overlaps them.
bool SharedTable::remove_overlapping(const std::byte* first, const std::byte* last) {
  for (PageNumber number = page_of(first); number <= page_of(last - 1); ++number) {
    Page* const page = find_page(number);
    if (page == nullptr) {
      continue;
    }
    const std::uint16_t begin = number == page_of(first) ? offset_of(first) : std::uint16_t{0};
    auto slot = std::lower_bound(page->begin(), page->end(), begin,
                                 [](const Slot& s, std::uint16_t wanted) { return s.offset < wanted; });
    if (slot != page->begin()) {
      --slot;  // it may extend into the bytes
    }
    while (slot != page->end()) {
      const Entry& known = entries_[slot->entry];
      if (known.first >= last) {
        break;
      }
      if (known.last <= first) {
        ++slot;
        continue;
      }
      if (!known.is_dead()) {
        return false;
      }
      const auto place = slot - page->begin();
      remove(slot->entry);
      slot = page->begin() + place;
    }
  }
  return true;
}

void SharedTable::enter(std::uint32_t index) {
  const Entry& entry = entries_[index];
  const PageNumber last = overlap_ == Overlap::refused ? page_of(entry.last - 1) : page_of(entry.first);
  for (PageNumber number = page_of(entry.first); number <= last; ++number) {
    Page* page = find_page(number);
    if (page == nullptr) {
      page = &pages_[number];
      last_number_ = number;
      last_page_ = page;
    }
    const std::uint16_t offset = number == page_of(entry.first) ? offset_of(entry.first) : std::uint16_t{0};
    const auto place = std::upper_bound(page->begin(), page->end(), offset,
                                        [](std::uint16_t wanted, const Slot& s) { return wanted < s.offset; });
    page->insert(place, {offset, index});
  }
}

void SharedTable::remove(std::uint32_t index) {
  Entry& entry = entries_[index];
  const PageNumber last = overlap_ == Overlap::refused ? page_of(entry.last - 1) : page_of(entry.first);
  for (PageNumber number = page_of(entry.first); number <= last; ++number) {
    std::erase_if(*find_page(number), [&](const Slot& slot) { return slot.entry == index; });
  }
  entry = Entry{};
  free_.push_back(index);
}

/// If most objects were temporary, the table stays small.
void SharedTable::drop_dead() {
  constexpr std::size_t samples = 64;
  std::size_t dead = 0;
  const std::size_t step = std::max<std::size_t>(1, entries_.size() / samples);
  for (std::size_t i = 0; i < entries_.size(); i += step) {
    dead += entries_[i].first != nullptr && entries_[i].is_dead() ? 1 : 0;
  }
  if (dead == 0) {
    drop_at_ = 2 * entries_.size();
    return;
  }
  std::vector<Entry> living;
  for (Entry& entry : entries_) {
    if (entry.first != nullptr && !entry.is_dead()) {
      living.push_back(std::move(entry));
    }
  }
  clear();
  entries_ = std::move(living);
  for (std::uint32_t i = 0; i < entries_.size(); ++i) {
    enter(i);
  }
  drop_at_ = std::max<std::size_t>(1024, 2 * entries_.size());
}

void SharedTable::clear() noexcept {
  entries_.clear();
  free_.clear();
  pages_.clear();
  last_page_ = nullptr;
}

std::string SharedTable::problem(Met::What what) {
  if (what == Met::What::unowned) {
    return "a shared_ptr without an owner points to an address that was met before, and it is unknown whether it is "
           "still the same object; give the pointer an owner";
  }
  return "a shared_ptr points into another stored object, or to a base class of one; they would be read as two "
         "objects. Store one of the two (a polymorphic base: with a registry)";
}

}  // namespace stele

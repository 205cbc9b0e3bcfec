#pragma once
// The targets of shared pointers met while a value is written. An object is identified by its address and its owner: an
// address alone does not suffice, because a new object may be created where another was freed.

#include <cstdint>
#include <memory>
#include <string>
#include <typeinfo>
#include <unordered_map>
#include <vector>

#include "stele/visitor.hpp"

namespace stele {

class SharedTable {
 public:
  /// Whether two objects may overlap in memory. Writers refuse it: the objects would be separate after loading.
  enum class Overlap : std::uint8_t { allowed, refused };
  explicit SharedTable(Overlap overlap) noexcept : overlap_(overlap) {}

  struct Met {
    enum class What : std::uint8_t {
      first,    // a new entry
      again,    // met before
      overlap,  // the bytes overlap another object that was met
      unowned,  // the address was met before, and without an owner it is unknown whether the object is the same
    };
    What what = What::first;
    std::uint64_t* value = nullptr;  // first, again: the value stored for the caller; valid until the next meet()

    bool is_first() const noexcept { return what == What::first; }
  };
  /// Looks an object up and adds it if it is new.
  Met meet(const SharedOut& object);
  /// The error message for an object that cannot be told apart from another.
  static std::string problem(Met::What what);
  void clear() noexcept;

 private:
  struct Entry {
    const std::byte* first = nullptr;
    const std::byte* last = nullptr;
    const std::type_info* type = nullptr;
    std::weak_ptr<const void> owner;
    std::uint64_t value = 0;
    bool unowned = false;
    bool is_dead() const noexcept { return !unowned && owner.expired(); }
  };
  /// An entry, in one of the pages it overlaps, at its first byte there.
  struct Slot {
    std::uint16_t offset;
    std::uint32_t entry;
  };
  using Page = std::vector<Slot>;  // sorted by offset
  using PageNumber = std::uintptr_t;

  Page* find_page(PageNumber number);
  bool remove_overlapping(const std::byte* first, const std::byte* last);
  void enter(std::uint32_t entry);
  void remove(std::uint32_t entry);
  void drop_dead();

  Overlap overlap_;
  std::vector<Entry> entries_;
  std::vector<std::uint32_t> free_;  // unused places in entries_
  std::unordered_map<PageNumber, Page> pages_;
  PageNumber last_number_ = 0;
  Page* last_page_ = nullptr;   // the page with number last_number_
  std::size_t drop_at_ = 1024;  // drops expired entries at this number of entries
};

}  // namespace stele

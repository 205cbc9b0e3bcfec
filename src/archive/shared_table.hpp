#pragma once
// The objects that shared pointers led to while a value is written, told apart by where they lie and whether they live.
// An address alone does not tell: the next object may be made where one was freed.

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
  /// Whether two objects may lie in the same bytes. Where they are written, no: they would be read apart.
  enum class Overlap : std::uint8_t { allowed, refused };
  explicit SharedTable(Overlap overlap) noexcept : overlap_(overlap) {}

  struct Met {
    enum class What : std::uint8_t {
      first,    // a new entry
      again,    // met before
      overlap,  // another object that was met lies in the same bytes
      unowned,  // the address was met before, and no owner tells whether the object is the same
    };
    What what = What::first;
    std::uint64_t* value = nullptr;  // first, again: the entry's, for the caller's use; valid until the next meet()

    bool is_first() const noexcept { return what == What::first; }
  };
  /// Looks an object up, and enters it when it is met first.
  Met meet(const SharedOut& object);
  /// What to say of an object that cannot be told apart from another.
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
  /// An entry in one of the pages it lies in, at its first byte there.
  struct Slot {
    std::uint16_t offset;
    std::uint32_t entry;
  };
  using Page = std::vector<Slot>;  // in the order of offsets
  using PageNumber = std::uintptr_t;

  Page* find_page(PageNumber number);
  bool remove_overlapping(const std::byte* first, const std::byte* last);
  void enter(std::uint32_t entry);
  void remove(std::uint32_t entry);
  void drop_dead();

  Overlap overlap_;
  std::vector<Entry> entries_;
  std::vector<std::uint32_t> free_;  // of entries_
  std::unordered_map<PageNumber, Page> pages_;
  PageNumber last_number_ = 0;
  Page* last_page_ = nullptr;   // that of last_number_
  std::size_t drop_at_ = 1024;  // so many entries
};

}  // namespace stele

#include "services/store/index_pages.hpp"

#include <array>
#include <bit>
#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

#include "stele/error.hpp"

namespace stele {
namespace {

// Numbers in the file are the machine's own: such a file does not move to another kind.
template <class T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

constexpr std::size_t page_head = 16;  // number u64, u16, flags u16, lower u16, upper u16; or count of pages u32
constexpr std::size_t node_head = 8;   // size or page u32, flags or page's high bits u16, key's size u16
constexpr std::uint16_t is_branch = 0x01;
constexpr std::uint16_t is_leaf = 0x02;
constexpr std::uint16_t is_overflow = 0x04;
constexpr std::uint16_t is_meta = 0x08;
constexpr std::uint16_t has_big_value = 0x01;
constexpr std::uint32_t magic = 0xbeefc0de;
constexpr std::uint64_t no_page = ~std::uint64_t{0};
constexpr std::uint16_t most_depth = 32;

// In a meta page, behind its head.
constexpr std::size_t free_tree = 24;
constexpr std::size_t main_tree = 72;
constexpr std::size_t last_page_at = 120;
constexpr std::size_t transaction_at = 128;
constexpr std::size_t meta_size = 136;

class Check {
 public:
  Check(Bytes file, std::uint64_t page_size, std::uint64_t last_page)
      : file_(file), page_size_(page_size), last_page_(last_page),
        used_(static_cast<std::size_t>(last_page / 64 + 1)) {}

  void tree(const std::byte* description, bool is_free_list) {
    const auto depth = load<std::uint16_t>(description + 6);
    const auto entries = load<std::uint64_t>(description + 32);
    const auto root = load<std::uint64_t>(description + 40);
    free_list_ = is_free_list;
    entries_ = 0;
    if (depth > most_depth || (root == no_page) != (depth == 0)) {
      damaged(root);
    }
    if (root != no_page) {
      page(root, depth, {}, std::nullopt);
    }
    if (entries_ != entries) {
      damaged(root);
    }
  }
  /// What is free is used nowhere. Known once both trees have been gone through.
  void free_pages() {
    for (const Bytes& list : free_lists_) {
      const auto count = load<std::uint64_t>(list.data());
      if (count > list.size() / 8 - 1) {
        damaged(no_page);
      }
      for (std::uint64_t i = 1; i <= count; ++i) {
        take(load<std::uint64_t>(list.data() + 8 * i));
      }
    }
  }

 private:
  [[noreturn]] static void damaged(std::uint64_t page) {
    fail(Errc::damaged, "the store's index has a damaged page" +
                            (page == no_page ? std::string() : ": number " + std::to_string(page)));
  }
  const std::byte* at(std::uint64_t page) const { return file_.data() + page * page_size_; }
  /// Notes that a page is used, which it may be once.
  void take(std::uint64_t page) {
    if (page < 2 || page > last_page_) {
      damaged(page);
    }
    std::uint64_t& bits = used_[static_cast<std::size_t>(page / 64)];
    const std::uint64_t bit = std::uint64_t{1} << (page % 64);
    if ((bits & bit) != 0) {
      damaged(page);
    }
    bits |= bit;
  }

  /// A page and all below. Its keys lie in [low, high); those of the free list are not compared.
  void page(std::uint64_t number, unsigned depth, std::string_view low, std::optional<std::string_view> high) {
    take(number);
    const std::byte* const from = at(number);
    const auto lower = load<std::uint16_t>(from + 12);
    const auto upper = load<std::uint16_t>(from + 14);
    if (load<std::uint64_t>(from) != number || load<std::uint16_t>(from + 10) != (depth > 1 ? is_branch : is_leaf) ||
        lower < page_head || lower > upper || upper > page_size_ || lower % 2 != 0) {
      damaged(number);
    }
    const std::size_t count = (lower - page_head) / 2;
    if (count < (depth > 1 ? 2U : 1U)) {
      damaged(number);
    }
    struct Child {
      std::uint64_t page;
      std::string_view low;
    };
    std::vector<Child> children;
    std::optional<std::string_view> before;
    for (std::size_t i = 0; i < count; ++i) {
      const auto offset = load<std::uint16_t>(from + page_head + 2 * i);
      if (offset < upper || offset + node_head > page_size_ || offset % 2 != 0) {
        damaged(number);
      }
      const std::byte* const node = from + offset;
      const std::uint64_t size = load<std::uint16_t>(node) | std::uint64_t{load<std::uint16_t>(node + 2)} << 16;
      const auto flags = load<std::uint16_t>(node + 4);
      const std::size_t key_size = load<std::uint16_t>(node + 6);
      if (offset + node_head + key_size > page_size_) {
        damaged(number);
      }
      std::string_view key(reinterpret_cast<const char*>(node + node_head), key_size);
      const bool bounds_all_before = depth > 1 && i == 0;  // the first key of a branch is not looked at
      if (bounds_all_before) {
        key = low;
      } else if (free_list_ ? key_size != 8
                            : key_size == 0 || (before && key <= *before) || key < low || (high && key >= *high)) {
        damaged(number);
      }
      before = key;
      if (depth > 1) {
        children.push_back({size | std::uint64_t{flags} << 32, key});
      } else {
        value(number, node + node_head + key_size, offset + node_head + key_size, size, flags);
        ++entries_;
      }
    }
    for (std::size_t i = 0; i < children.size(); ++i) {
      page(children[i].page, depth - 1, children[i].low,
           i + 1 < children.size() ? std::optional(children[i + 1].low) : high);
    }
  }

  void value(std::uint64_t number, const std::byte* from, std::size_t offset, std::uint64_t size, std::uint16_t flags) {
    Bytes bytes;
    if (flags == has_big_value) {
      if (offset + 8 > page_size_) {
        damaged(number);
      }
      const auto first = load<std::uint64_t>(from);
      take(first);
      const auto pages = load<std::uint32_t>(at(first) + 12);
      if (load<std::uint64_t>(at(first)) != first || load<std::uint16_t>(at(first) + 10) != is_overflow || pages == 0 ||
          pages - 1 > last_page_ - first || size > pages * page_size_ - page_head) {
        damaged(first);
      }
      for (std::uint32_t i = 1; i < pages; ++i) {
        take(first + i);
      }
      bytes = Bytes(at(first) + page_head, static_cast<std::size_t>(size));
    } else {
      if (flags != 0 || offset + size > page_size_) {
        damaged(number);
      }
      bytes = Bytes(from, static_cast<std::size_t>(size));
    }
    if (free_list_) {
      if (bytes.size() < 8) {
        damaged(number);
      }
      free_lists_.push_back(bytes);
    }
  }

  Bytes file_;
  std::uint64_t page_size_;
  std::uint64_t last_page_;
  std::vector<std::uint64_t> used_;  // a bit a page
  std::vector<Bytes> free_lists_;
  std::uint64_t entries_ = 0;
  bool free_list_ = false;
};

}  // namespace

bool check_index_pages(Bytes file, const IndexPages& pages) {
  if (pages.page_size < page_head + meta_size || file.size() < 2 * pages.page_size) {
    fail(Errc::damaged, "the store's index is cut off");
  }
  for (const std::uint64_t number : {std::uint64_t{0}, std::uint64_t{1}}) {
    // copied, as another may write it meanwhile
    std::array<std::byte, page_head + meta_size> copy;
    std::memcpy(copy.data(), file.data() + number * pages.page_size, copy.size());
    const std::byte* const meta = copy.data() + page_head;
    if (load<std::uint16_t>(copy.data() + 10) != is_meta || load<std::uint32_t>(meta) != magic ||
        load<std::uint64_t>(meta + transaction_at) != pages.transaction) {
      continue;
    }
    const auto last_page = load<std::uint64_t>(meta + last_page_at);
    if (last_page >= file.size() / pages.page_size) {
      fail(Errc::damaged, "the store's index is cut off");
    }
    Check check(file, pages.page_size, last_page);
    check.tree(meta + free_tree, true);
    check.tree(meta + main_tree, false);
    check.free_pages();
    return true;
  }
  return false;
}

}  // namespace stele

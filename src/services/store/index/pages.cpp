#include "services/store/index/pages.hpp"

#include <algorithm>
#include <bit>
#include <string>
#include <string_view>
#include <vector>

#include "stele/error.hpp"

namespace stele {
namespace lmdb {
namespace {

constexpr std::uint16_t is_meta = 0x08;
constexpr std::uint32_t magic = 0xbeefc0de;
constexpr std::uint32_t version = 1;
constexpr std::uint16_t integer_keys = 0x08;    // flag of the list of free pages
constexpr std::uint16_t kept_options = 0x4000;  // MDB_NOSUBDIR, stored in the same field
constexpr std::uint64_t least_page_size = 512;
constexpr std::uint64_t most_page_size = 32768;

// Offsets in a meta page, after its head.
constexpr std::size_t magic_at = 0;
constexpr std::size_t version_at = 4;
constexpr std::size_t free_tree = 24;  // size of pages u32, flags u16, depth u16, pages u64 × 3, entries u64, root u64
constexpr std::size_t main_tree = 72;
constexpr std::size_t last_page_at = 120;
constexpr std::size_t transaction_at = 128;
constexpr std::size_t meta_size = 136;

IndexRoot::Tree tree_of(const std::byte* description) {
  IndexRoot::Tree tree;
  tree.depth = load<std::uint16_t>(description + 6);
  tree.entries = load<std::uint64_t>(description + 32);
  tree.root = load<std::uint64_t>(description + 40);
  return tree;
}

}  // namespace

void fail_page(std::uint64_t number) {
  fail(Errc::damaged, "the store's index has a damaged page" +
                          (number == no_page ? std::string() : ": number " + std::to_string(number)) +
                          "; Store::recover() rebuilds it");
}

Page::Page(Bytes file, std::uint64_t page_size, std::uint64_t number, bool branch)
    : page_size_(page_size), number_(number) {
  if (number < 2 || number >= file.size() / page_size) {
    fail_page(number);
  }
  from_ = file.data() + number * page_size;
  const std::size_t lower = load<std::uint16_t>(from_ + 12);
  upper_ = load<std::uint16_t>(from_ + 14);
  if (load<std::uint64_t>(from_) != number || load<std::uint16_t>(from_ + 10) != (branch ? is_branch : is_leaf) ||
      lower <= page_head || lower > upper_ || upper_ > page_size || lower % 2 != 0) {
    fail_page(number);
  }
  count_ = (lower - page_head) / 2;
}

Page::Node Page::node(std::size_t i) const {
  const std::size_t offset = load<std::uint16_t>(from_ + page_head + 2 * i);
  if (offset < upper_ || offset + node_head > page_size_ || offset % 2 != 0) {
    fail_page(number_);
  }
  const std::byte* const at = from_ + offset;
  const std::size_t key_size = load<std::uint16_t>(at + 6);
  Node node;
  node.size = load<std::uint16_t>(at) | std::uint64_t{load<std::uint16_t>(at + 2)} << 16;
  node.flags = load<std::uint16_t>(at + 4);
  node.value_at = offset + node_head + key_size;
  if (node.value_at > page_size_) {
    fail_page(number_);
  }
  node.key = {reinterpret_cast<const char*>(at + node_head), key_size};
  return node;
}

Bytes Page::value(const Node& node, Bytes file, Pages* pages) const {
  if (node.flags != has_big_value) {
    if (node.flags != 0 || node.size > page_size_ - node.value_at) {
      fail_page(number_);
    }
    return {from_ + node.value_at, static_cast<std::size_t>(node.size)};
  }
  if (node.value_at + 8 > page_size_) {
    fail_page(number_);
  }
  const auto first = load<std::uint64_t>(from_ + node.value_at);
  const std::uint64_t all = file.size() / page_size_;
  if (first < 2 || first >= all) {
    fail_page(first);
  }
  const std::byte* const at = file.data() + first * page_size_;
  const std::uint64_t count = load<std::uint32_t>(at + 12);
  if (load<std::uint64_t>(at) != first || load<std::uint16_t>(at + 10) != is_overflow || count == 0 ||
      count > all - first || node.size > count * page_size_ - page_head) {
    fail_page(first);
  }
  if (pages != nullptr) {
    *pages = {first, count};
  }
  return {at + page_head, static_cast<std::size_t>(node.size)};
}

}  // namespace lmdb

namespace {

using FirstPages = std::array<std::array<std::byte, lmdb::page_head + lmdb::meta_size>, 2>;

/// Copies both first pages. The first one says where the second begins.
FirstPages copy_first_pages(Bytes file) {
  FirstPages pages;
  std::size_t at = 0;
  for (auto& page : pages) {
    if (file.size() < at + page.size()) {
      fail(Errc::damaged, "the store's index is cut off; Store::recover() rebuilds it");
    }
    std::memcpy(page.data(), file.data() + at, page.size());
    at = lmdb::load<std::uint32_t>(page.data() + lmdb::page_head + lmdb::free_tree);
  }
  return pages;
}

IndexRoot root_of(const FirstPages& pages, std::size_t i) {
  using namespace lmdb;
  const std::byte* const meta = pages[i].data() + page_head;
  if (load<std::uint16_t>(pages[i].data() + 10) != is_meta || load<std::uint32_t>(meta + magic_at) != magic) {
    fail_page(i);
  }
  if (load<std::uint32_t>(meta + version_at) != version) {
    fail(Errc::unsupported, "the store's index is of another version of LMDB; Store::recover() rebuilds it");
  }
  IndexRoot root;
  root.page_size = load<std::uint32_t>(meta + free_tree);
  root.last_page = load<std::uint64_t>(meta + last_page_at);
  root.transaction = load<std::uint64_t>(meta + transaction_at);
  root.free_pages = tree_of(meta + free_tree);
  root.main = tree_of(meta + main_tree);
  const bool good_size =
      std::has_single_bit(root.page_size) && root.page_size >= least_page_size && root.page_size <= most_page_size;
  const auto flags = static_cast<std::uint16_t>(load<std::uint16_t>(meta + free_tree + 4) & ~kept_options);
  const bool is_in_turn = root.transaction == 0 || root.transaction % 2 == i;
  if (!good_size || flags != integer_keys || load<std::uint16_t>(meta + main_tree + 4) != 0 || !is_in_turn) {
    fail_page(i);
  }
  return root;
}

}  // namespace

std::array<IndexRoot, 2> index_roots(Bytes file) {
  constexpr int most_attempts = 1000;
  FirstPages pages = copy_first_pages(file);
  for (int attempt = 0; attempt < most_attempts; ++attempt) {
    const FirstPages again = copy_first_pages(file);
    if (pages == again) {  // no write happened in between
      break;
    }
    pages = again;
  }
  const std::array<IndexRoot, 2> roots = {root_of(pages, 0), root_of(pages, 1)};
  const std::uint64_t first = roots[0].transaction;
  const std::uint64_t second = roots[1].transaction;
  if (roots[0].page_size != roots[1].page_size || std::max(first, second) - std::min(first, second) > 1 ||
      (first == second && first != 0)) {
    lmdb::fail_page(first < second ? 0 : 1);
  }
  return roots;
}

const IndexRoot& last_of(const std::array<IndexRoot, 2>& roots) noexcept {
  return roots[roots[0].transaction < roots[1].transaction ? 1 : 0];
}

void check_index_root(const IndexRoot& root, Bytes file) {
  for (const IndexRoot::Tree* tree : {&root.free_pages, &root.main}) {
    if (tree->depth > lmdb::most_depth || (tree->root == lmdb::no_page) != (tree->depth == 0)) {
      lmdb::fail_page(tree->root);
    }
  }
  if (root.last_page < 1 || root.last_page > file.size() / root.page_size) {  // the last page may not be written yet
    fail(Errc::damaged, "the store's index is cut off; Store::recover() rebuilds it");
  }
}

namespace {

using lmdb::fail_page;

class Check {
 public:
  Check(Bytes file, const IndexRoot& state)
      : file_(file), state_(state), used_(static_cast<std::size_t>(state.last_page / 64 + 1)) {}

  void tree(const IndexRoot::Tree& tree, bool is_free_list) {
    free_list_ = is_free_list;
    entries_ = 0;
    if (tree.root != lmdb::no_page) {
      page(tree.root, tree.depth, {}, std::nullopt);
    }
    if (entries_ != tree.entries) {
      fail_page(tree.root);
    }
  }
  /// Checks that free pages are not in use. Called after both trees were scanned.
  void free_pages() {
    for (const Bytes& list : free_lists_) {
      const auto count = lmdb::load<std::uint64_t>(list.data());
      if (count > list.size() / 8 - 1) {
        fail_page(lmdb::no_page);
      }
      std::uint64_t before = lmdb::no_page;
      for (std::uint64_t i = 1; i <= count; ++i) {
        const auto number = lmdb::load<std::uint64_t>(list.data() + 8 * i);
        if (number >= before) {  // LMDB does a binary search
          fail_page(number);
        }
        before = number;
        take(number);
      }
    }
  }

 private:
  /// Marks a page as used; each may be used once.
  void take(std::uint64_t page) {
    if (page < 2 || page > state_.last_page) {
      fail_page(page);
    }
    std::uint64_t& bits = used_[static_cast<std::size_t>(page / 64)];
    const std::uint64_t bit = std::uint64_t{1} << (page % 64);
    if ((bits & bit) != 0) {
      fail_page(page);
    }
    bits |= bit;
  }

  /// Checks a page and all pages below. Its keys are in [low, high); those of the free list are numbers.
  void page(std::uint64_t number, unsigned depth, std::string_view low, std::optional<std::string_view> high) {
    take(number);
    const lmdb::Page page(file_, state_.page_size, number, depth > 1);
    if (depth > 1 && page.size() < 2) {
      fail_page(number);
    }
    struct Child {
      std::uint64_t page;
      std::string_view low;
    };
    std::vector<Child> children;
    std::optional<std::string_view> before;
    for (std::size_t i = 0; i < page.size(); ++i) {
      const lmdb::Page::Node node = page.node(i);
      std::string_view key = node.key;
      const bool bounds_all_before = depth > 1 && i == 0;  // LMDB never reads the first key of a branch
      if (bounds_all_before) {
        key = low;
      } else if (free_list_ ? key.size() != 8 || !rises(before, key)
                            : key.empty() || (before && key <= *before) || key < low || (high && key >= *high)) {
        fail_page(number);
      }
      before = key;
      if (depth > 1) {
        children.push_back({node.child(), key});
      } else {
        value(page, node);
        ++entries_;
      }
    }
    for (std::size_t i = 0; i < children.size(); ++i) {
      this->page(children[i].page, depth - 1, children[i].low,
                 i + 1 < children.size() ? std::optional(children[i + 1].low) : high);
    }
  }
  static std::uint64_t as_number(std::string_view key) {
    return lmdb::load<std::uint64_t>(reinterpret_cast<const std::byte*>(key.data()));
  }
  static bool rises(std::optional<std::string_view> before, std::string_view key) {
    return !before || before->size() != 8 || as_number(*before) < as_number(key);
  }

  void value(const lmdb::Page& page, const lmdb::Page::Node& node) {
    lmdb::Page::Pages own;
    const Bytes bytes = page.value(node, file_, &own);
    for (std::uint64_t i = 0; i < own.count; ++i) {
      take(own.first + i);
    }
    if (free_list_) {
      if (bytes.size() < 8) {
        fail_page(page.number());
      }
      free_lists_.push_back(bytes);
    }
  }

  Bytes file_;
  IndexRoot state_;
  std::vector<std::uint64_t> used_;  // one bit per page
  std::vector<Bytes> free_lists_;
  std::uint64_t entries_ = 0;
  bool free_list_ = false;
};

}  // namespace

void check_index_pages(Bytes file, const IndexRoot& state) {
  check_index_root(state, file);
  Check check(file, state);
  check.tree(state.free_pages, true);
  check.tree(state.main, false);
  check.free_pages();
}

}  // namespace stele

#pragma once
// Parses and checks the pages of an LMDB file (0.9, 64-bit; mdb.c, "Page structures"). LMDB itself trusts them: a wrong
// page number or offset would crash the program.

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>

#include "stele/io.hpp"

namespace stele {
namespace lmdb {

// Reads a number in native byte order. LMDB files are not portable between machines of different byte order.
template <class T>
T load(const std::byte* from) noexcept {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

inline constexpr std::size_t page_head = 16;  // number u64, u16, flags u16, lower u16, upper u16; or count of pages u32
inline constexpr std::size_t node_head = 8;   // size or page u32, flags or page's high bits u16, key's size u16
inline constexpr std::uint16_t is_branch = 0x01;
inline constexpr std::uint16_t is_leaf = 0x02;
inline constexpr std::uint16_t is_overflow = 0x04;
inline constexpr std::uint16_t has_big_value = 0x01;
inline constexpr std::uint64_t no_page = ~std::uint64_t{0};
inline constexpr unsigned most_depth = 32;

/// A page of the tree whose header is valid. Nodes are checked when they are read.
class Page {
 public:
  Page() = default;
  /// Throws: Error(damaged) unless this is page `number`, a branch or a leaf according to `branch`, with at least one
  /// node.
  Page(Bytes file, std::uint64_t page_size, std::uint64_t number, bool branch);
  std::uint64_t number() const noexcept { return number_; }
  std::size_t size() const noexcept { return count_; }
  struct Node {
    std::string_view key;
    std::uint64_t size = 0;  // of the value
    std::uint16_t flags = 0;
    std::size_t value_at = 0;  // in the page
    std::uint64_t child() const noexcept { return size | std::uint64_t{flags} << 32; }
  };
  /// Throws: Error(damaged).
  Node node(std::size_t i) const;
  std::string_view key(std::size_t i) const { return node(i).key; }
  /// The value of a leaf node, in the page or in overflow pages. `pages`, if not null, gets the overflow pages it uses.
  /// Throws: Error(damaged).
  struct Pages {
    std::uint64_t first = 0;
    std::uint64_t count = 0;
  };
  Bytes value(const Node& node, Bytes file, Pages* pages = nullptr) const;

 private:
  const std::byte* from_ = nullptr;
  std::uint64_t page_size_ = 0;
  std::uint64_t number_ = 0;
  std::size_t upper_ = 0;
  std::size_t count_ = 0;
};

/// Throws: Error(damaged).
[[noreturn]] void fail_page(std::uint64_t number);

}  // namespace lmdb

/// A state of the index, as described by one of the two first pages.
struct IndexRoot {
  std::uint64_t transaction = 0;
  std::uint64_t page_size = 0;
  std::uint64_t last_page = 0;
  struct Tree {
    unsigned depth = 0;
    std::uint64_t entries = 0;
    std::uint64_t root = lmdb::no_page;
  };
  Tree free_pages;
  Tree main;
};

/// The states described by the two first pages; the later one is the latest. Checks only their form. Others may write
/// them meanwhile.
/// Throws: Error(damaged) if they are not those of an index, Error(unsupported) for another version of LMDB's format.
std::array<IndexRoot, 2> index_roots(Bytes file);
/// The later one.
const IndexRoot& last_of(const std::array<IndexRoot, 2>& roots) noexcept;
/// Checks whether a state is possible in this file. Throws: Error(damaged).
void check_index_root(const IndexRoot& root, Bytes file);

/// Checks all pages of a state, and the list of free pages: form, bounds, order of keys, no page used twice. `file` is
/// the whole file. The pages must not change meanwhile. Takes about 1 ms for 10 MiB.
/// Throws: Error(damaged).
void check_index_pages(Bytes file, const IndexRoot& state);

}  // namespace stele

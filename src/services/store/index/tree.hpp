#pragma once
// Reads a state of the index from the mapped file. Every page and node is checked when it is read, so that damage
// cannot cause reads outside the file.

#include <array>
#include <string_view>

#include "services/store/index/pages.hpp"

namespace stele {

/// A cursor over the entries of an LMDB file. Results point into the file. Used by one thread at a time. All functions
/// except open() throw Error(damaged).
class IndexTree {
 public:
  /// `file` must stay mapped while this is used, and the pages of the state must not change, or checks may fail.
  void open(Bytes file, const IndexRoot& state) noexcept {
    file_ = file;
    state_ = state;
  }

  // Moves to the first entry that is not less than `key`. These functions return false if there is no such entry.
  bool seek(std::string_view key);
  /// Moves to the last entry that is not greater than `key`, or that is less if `less`.
  bool seek_back(std::string_view key, bool less);
  bool last();
  bool next();
  bool previous();

  /// The key of the current entry.
  std::string_view key() const { return leaf().page.key(leaf().at); }
  Bytes value() const { return leaf().page.value(leaf().page.node(leaf().at), file_); }

 private:
  struct Level {
    lmdb::Page page;
    std::size_t at = 0;
  };
  const Level& leaf() const noexcept { return path_[state_.main.depth - 1]; }
  Level& leaf() noexcept { return path_[state_.main.depth - 1]; }
  bool is_empty() const noexcept { return state_.main.depth == 0; }
  void enter(unsigned level, std::uint64_t page);
  void descend_to_edge(unsigned level, bool right);
  bool step(bool right);
  /// Moves to the leaf for a key, and to the first entry there that is not less. That may be the end of the leaf.
  void descend(std::string_view key);

  Bytes file_;
  IndexRoot state_;
  std::array<Level, lmdb::most_depth> path_;
};

}  // namespace stele

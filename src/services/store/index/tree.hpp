#pragma once
// A state of the index, read where it is mapped: every page and node is checked as it is come by, so that no damage can
// lead outside of the file.

#include <array>
#include <string_view>

#include "services/store/index/pages.hpp"

namespace stele {

/// A place among the entries of an LMDB file. What it gives points into the file. One thread at a time. All but open()
/// throw Error(damaged).
class IndexTree {
 public:
  /// `file` stays mapped as long as this is used, and the pages of the state stay what they are, or checks may fail.
  void open(Bytes file, const IndexRoot& state) noexcept {
    file_ = file;
    state_ = state;
  }

  // Each goes to an entry; false where there is none.
  /// The first that is not less than `key`.
  bool seek(std::string_view key);
  /// The last that is not greater than `key`, or that is less if `less`.
  bool seek_back(std::string_view key, bool less);
  bool last();
  bool next();
  bool previous();

  /// Of the entry that it was moved to.
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
  /// The leaf that a key belongs to, and the first entry there that is not less: perhaps behind its last.
  void descend(std::string_view key);

  Bytes file_;
  IndexRoot state_;
  std::array<Level, lmdb::most_depth> path_;
};

}  // namespace stele

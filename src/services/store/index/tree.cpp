#include "services/store/index/tree.hpp"

namespace stele {

void IndexTree::enter(unsigned level, std::uint64_t page) {
  path_[level] = {lmdb::Page(file_, state_.page_size, page, level + 1 < state_.main.depth), 0};
}

void IndexTree::descend(std::string_view key) {
  enter(0, state_.main.root);
  for (unsigned level = 0;; ++level) {
    Level& here = path_[level];
    const bool branch = level + 1 < state_.main.depth;
    // in a branch: the child with the last first key that is not greater than `key`; the first child has no lower bound
    std::size_t first = branch ? 1 : 0;
    std::size_t left = here.page.size() - first;
    while (left > 0) {
      const std::size_t half = left / 2;
      const std::string_view middle = here.page.key(first + half);
      if (branch ? middle <= key : middle < key) {
        first += half + 1;
        left -= half + 1;
      } else {
        left = half;
      }
    }
    if (!branch) {
      here.at = first;
      return;
    }
    here.at = first - 1;
    enter(level + 1, here.page.node(here.at).child());
  }
}

void IndexTree::descend_to_edge(unsigned level, bool right) {
  for (;; ++level) {
    Level& here = path_[level];
    here.at = right ? here.page.size() - 1 : 0;
    if (level + 1 == state_.main.depth) {
      return;
    }
    enter(level + 1, here.page.node(here.at).child());
  }
}

bool IndexTree::step(bool right) {
  for (unsigned level = state_.main.depth; level-- > 0;) {
    Level& here = path_[level];
    if (right ? here.at + 1 >= here.page.size() : here.at == 0) {
      continue;
    }
    here.at += right ? 1 : std::size_t(-1);
    if (level + 1 < state_.main.depth) {
      enter(level + 1, here.page.node(here.at).child());
      descend_to_edge(level + 1, !right);
    }
    return true;
  }
  return false;
}

bool IndexTree::seek(std::string_view key) {
  if (is_empty()) {
    return false;
  }
  descend(key);
  return leaf().at < leaf().page.size() || step(true);
}

bool IndexTree::seek_back(std::string_view key, bool less) {
  if (is_empty()) {
    return false;
  }
  descend(key);
  const bool is_there = !less && leaf().at < leaf().page.size() && this->key() == key;
  return is_there || step(false);
}

bool IndexTree::last() {
  if (is_empty()) {
    return false;
  }
  enter(0, state_.main.root);
  descend_to_edge(0, true);
  return true;
}

bool IndexTree::next() { return step(true); }
bool IndexTree::previous() { return step(false); }

}  // namespace stele

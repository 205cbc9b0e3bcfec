#include "services/store/shard/source_pieces.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <vector>

#include "archive/read/parts/pieces.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::uint64_t unit = std::uint64_t{64} << 10;
constexpr std::uint64_t most_piece = std::uint64_t{8} << 20;
constexpr std::uint64_t most_ahead = std::uint64_t{64} << 20;
constexpr std::uint64_t read_alone = std::uint64_t{1} << 20;  // such reads, and longer ones
constexpr std::size_t at_once = 8;

/// Whole units, as far as they lie in `within`.
Extent whole_units(Extent part, Extent within) {
  const std::uint64_t begin = std::max(part.offset / unit * unit, within.offset);
  const std::uint64_t end = std::min((part.end() + unit - 1) / unit * unit, within.end());
  return {begin, end - begin};
}

}  // namespace

void SourcePieces::read(std::uint64_t offset, MutableBytes into) const {
  Shared& shared = shared_.get();
  while (!into.empty()) {
    std::shared_ptr<const Piece> piece;
    Plan how;
    {
      const std::lock_guard lock(shared.mutex);
      piece = find(shared, offset);
      if (piece == nullptr) {
        how = plan(shared, {offset, into.size()});
      }
    }
    if (how.announced.length > 0) {
      source_->will_read(how.announced.offset, how.announced.length);
    }
    std::uint64_t count = how.wanted.length;
    if (piece == nullptr && count >= read_alone) {
      read_source(offset, into.first(static_cast<std::size_t>(count)));
    } else {
      if (piece == nullptr) {
        piece = fetch_piece(shared, how.piece);
      }
      count = std::min<std::uint64_t>(into.size(), piece->place.end() - offset);
      std::memcpy(into.data(), piece->bytes.get() + (offset - piece->place.offset), static_cast<std::size_t>(count));
    }
    offset += count;
    into = into.subspan(static_cast<std::size_t>(count));
  }
}

void SourcePieces::fetch(std::span<const Extent> extents) const {
  Shared& shared = shared_.get();
  std::vector<Extent> missing;
  {
    const std::lock_guard lock(shared.mutex);
    std::uint64_t total = 0;
    for (const Extent& extent : extents) {
      if (extent.length >= read_alone || extent.offset < within_.offset || extent.offset >= within_.end()) {
        continue;  // what the part does not have, the read tells
      }
      const Extent units = whole_units(extent, within_);
      std::uint64_t at = missing.empty() ? units.offset : std::max(units.offset, missing.back().end());
      while (at < units.end() && total < most_kept_ / 2) {
        if (const auto piece = find(shared, at)) {
          at = piece->place.end();
          continue;
        }
        const std::uint64_t end = std::min(units.end(), gap(shared, at).end());
        if (!missing.empty() && missing.back().end() == at && end - missing.back().offset <= most_piece) {
          missing.back().length += end - at;
        } else {
          missing.push_back({at, end - at});
        }
        total += end - at;
        at = end;
      }
    }
  }
  if (missing.size() < 2) {
    return;
  }
  Crew crew(static_cast<unsigned>(std::min(at_once, missing.size())));
  read_pieces(crew, {.size = missing.size(),
                     .end_of = [](std::uint64_t begin) { return begin + 1; },
                     .read = [&](std::uint64_t i, std::uint64_t) { fetch_piece(shared, missing[i]); },
                     .arrived = [](std::uint64_t, std::uint64_t) {}});
}

std::shared_ptr<const SourcePieces::Piece> SourcePieces::find(Shared& shared, std::uint64_t offset) {
  const auto next = shared.places.upper_bound(offset);
  if (next == shared.places.begin()) {
    return nullptr;
  }
  const Shared::Pieces::iterator found = std::prev(next)->second;
  if (offset >= (*found)->place.end()) {
    return nullptr;
  }
  shared.pieces.splice(shared.pieces.begin(), shared.pieces, found);
  return *found;
}

Extent SourcePieces::gap(const Shared& shared, std::uint64_t offset) const {
  const auto next = shared.places.upper_bound(offset);
  const std::uint64_t end = next == shared.places.end() ? within_.end() : std::min(next->first, within_.end());
  const std::uint64_t begin = next == shared.places.begin()
                                  ? within_.offset
                                  : std::max(within_.offset, (*std::prev(next)->second)->place.end());
  return {begin, end - begin};
}

SourcePieces::Plan SourcePieces::plan(Shared& shared, Extent wanted) const {
  const Extent free = gap(shared, wanted.offset);
  wanted.length = std::min(wanted.length, free.end() - wanted.offset);
  Plan how{wanted, whole_units(wanted, free), {}};
  const auto goes_up = [&](const Course& course) {
    return wanted.offset >= course.last.end() && wanted.offset - course.last.end() < unit;
  };
  const auto goes_down = [&](const Course& course) {
    return wanted.end() <= course.last.offset && course.last.offset - wanted.end() < unit;
  };
  auto& courses = shared.courses;
  auto found = std::find_if(courses.begin(), courses.end(), [&](const Course& course) {
    return course.grown > 0 && (goes_up(course) || goes_down(course));
  });
  const bool is_new = found == courses.end();
  if (is_new) {
    found = std::prev(courses.end());
    *found = {};
  }
  std::rotate(courses.begin(), found, std::next(found));
  Course& course = courses.front();
  course.grown = std::min(std::max(2 * course.grown, how.piece.length), announces_ ? most_ahead : most_piece);
  const std::uint64_t ahead = std::min(course.grown, most_piece);
  if (!is_new && goes_up(course)) {
    const std::uint64_t end = std::min(how.piece.offset + ahead, free.end());
    how.piece.length = std::max(how.piece.end(), end) - how.piece.offset;
    if (course.grown > std::max(most_piece, wanted.length) && wanted.offset + course.grown / 2 >= course.announced) {
      course.announced = std::min(wanted.offset + course.grown, within_.end());
      how.announced = {how.piece.offset, course.announced - how.piece.offset};
    }
  } else if (!is_new) {
    const std::uint64_t least = how.piece.end() - std::min(how.piece.end(), ahead);
    const std::uint64_t begin = std::max(least / unit * unit, free.offset);
    how.piece = {std::min(begin, how.piece.offset), how.piece.end() - std::min(begin, how.piece.offset)};
  }
  course.last = wanted.length >= read_alone ? wanted : how.piece;
  return how;
}

std::shared_ptr<const SourcePieces::Piece> SourcePieces::fetch_piece(Shared& shared, Extent place) const {
  auto piece = std::make_shared<Piece>();
  piece->place = place;
  piece->bytes = std::make_unique_for_overwrite<std::byte[]>(static_cast<std::size_t>(place.length));
  read_source(place.offset, {piece->bytes.get(), static_cast<std::size_t>(place.length)});
  const std::lock_guard lock(shared.mutex);
  const auto drop = [&](Shared::Pieces::iterator one) {
    shared.kept -= (*one)->place.length;
    shared.places.erase((*one)->place.offset);
    shared.pieces.erase(one);
  };
  if (const auto same = shared.places.find(place.offset); same != shared.places.end()) {  // of another thread
    drop(same->second);
  }
  shared.pieces.push_front(piece);
  shared.places[place.offset] = shared.pieces.begin();
  shared.kept += place.length;
  while (shared.kept > most_kept_ && shared.pieces.size() > 1) {
    drop(std::prev(shared.pieces.end()));
  }
  return piece;
}

void SourcePieces::read_source(std::uint64_t offset, MutableBytes into) const {
  try {
    source_->read_at(offset, into);
  } catch (const Error& error) {
    if (error.code() == Errc::not_found) {  // which of a store means a key
      fail(Errc::changed, source_->name() + " is gone since it was opened: " + error.message(),
           {.file = source_->name()});
    }
    throw;
  }
}

}  // namespace stele

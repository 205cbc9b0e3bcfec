#include "archive/read/input.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include "array/huge_pages.hpp"
#include "base/threads/interruption.hpp"

namespace stele {
namespace {

constexpr std::size_t piece_bytes = std::size_t{1} << 20;
constexpr std::size_t parallel_bytes = std::size_t{8} << 20;
constexpr std::uint64_t free_expansion = std::uint64_t{1} << 30;

}  // namespace

// --- SegmentCheck ----------------------------------------------------------------------------------------------------

SegmentCheck::SegmentCheck(const Source& source, std::uint64_t start, const Directory& directory,
                           const Trailer& trailer)
    : source_(source),
      start_(start),
      directory_(directory),
      whole_end_(trailer.total_length - frozen::trailer_bytes),
      segments_(directory.segments) {
  if (segments_.empty()) {
    // If the directory lists no segments, the structure is one segment, with the trailer's checksum.
    segments_.push_back({whole_end_, trailer.structure_checksum});
  }
  checked_.resize(segments_.size());
  std::uint64_t begin = 0;
  for (const SegmentEntry& segment : segments_) {
    if (segment.end <= begin || segment.end > whole_end_) {
      fail(Errc::damaged, "the directory's segments are not in order", {{}, segment.end});
    }
    begin = segment.end;
  }
}

void SegmentCheck::ensure(std::uint64_t first, std::uint64_t last) {
  const std::unique_lock lock = Waiting::lock(mutex_);
  const auto begin = std::upper_bound(segments_.begin(), segments_.end(), first,
                                      [](std::uint64_t at, const SegmentEntry& segment) { return at < segment.end; });
  for (auto i = static_cast<std::size_t>(begin - segments_.begin()); i < segments_.size(); ++i) {
    const std::uint64_t start = i == 0 ? 0 : segments_[i - 1].end;
    if (start >= last) {
      break;
    }
    if (checked_[i]) {
      continue;
    }
    if (checksum(start, segments_[i].end) != segments_[i].checksum) {
      fail(Errc::damaged, "a checksum does not match: the bytes between the arrays have changed", {{}, start});
    }
    checked_[i] = true;
  }
}

std::pair<std::uint64_t, std::uint64_t> SegmentCheck::around(std::uint64_t offset) const noexcept {
  const auto segment = std::upper_bound(segments_.begin(), segments_.end(), offset,
                                        [](std::uint64_t at, const SegmentEntry& one) { return at < one.end; });
  return {segment == segments_.begin() ? 0 : std::prev(segment)->end,
          segment == segments_.end() ? whole_end_ : segment->end};
}

/// The checksum of the structure between two offsets.
std::uint64_t SegmentCheck::checksum(std::uint64_t begin, std::uint64_t end) const {
  Xxh3 hash;
  std::vector<std::byte> buffer;
  const Bytes memory = source_.memory();
  auto array = std::lower_bound(directory_.arrays.begin(), directory_.arrays.end(), begin,
                                [](const ArrayEntry& entry, std::uint64_t offset) { return entry.offset < offset; });
  for (std::uint64_t at = begin; at < end;) {
    const std::uint64_t until = array == directory_.arrays.end() ? end : std::min(end, array->offset);
    while (at < until) {
      const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(until - at, frozen::step_bytes));
      if (!memory.empty()) {
        hash.update(memory.subspan(static_cast<std::size_t>(start_ + at), size));
      } else {
        buffer.resize(size);
        source_.read_at(start_ + at, buffer);
        hash.update(buffer);
      }
      at += size;
    }
    if (array != directory_.arrays.end() && at == array->offset) {
      at += array->length;
      ++array;
    }
  }
  return hash.digest64();
}

// --- Input -----------------------------------------------------------------------------------------------------------

bool expands_too_much(std::uint64_t plain, std::uint64_t stored, const Limits& limits) noexcept {
  return plain > free_expansion && plain / std::max<std::uint64_t>(limits.expansion, 1) > stored;
}

Input::Input(Source& source, const Options& options)
    : source_(source), options_(options), crew_(make_process_owned<Crew>(options.threads)) {
  if (options_.random) {
    const Bytes all = source.memory();
    if (!all.empty()) {
      whole_ = all.subspan(static_cast<std::size_t>(options_.start));
      if (options_.end) {
        whole_ = whole_.first(static_cast<std::size_t>(*options_.end - options_.start));
      }
      if (options_.mapped != nullptr) {
        return;
      }
      memory_ = whole_;
      window_ = at_ = hashed_ = memory_.data();
      end_ = options_.segments != nullptr ? window_ : window_ + memory_.size();
    }
  }
}

void Input::fail_here(Errc code, std::string message) const {
  const std::string path = reader_ != nullptr ? reader_->current_path() : std::string();
  fail(code, std::move(message), {path, position()});
}

void Input::rethrow_here(const Error& error) const {
  const std::string path = reader_ != nullptr ? reader_->current_path() : std::string();
  rethrow_at(error, {path, position()});
}

void Input::reserved_head() const { fail_here(Errc::malformed, "a reserved CBOR head"); }
void Input::ended() const { fail_here(Errc::truncated, "the input ends before the archive does"); }

void Input::hash_window() noexcept {
  if (options_.hash && at_ != hashed_) {
    structure_.update({hashed_, at_});
    hashed_ = at_;
  }
}

void Input::seek(std::uint64_t offset) {
  hash_window();
  if (!memory_.empty()) {
    if (offset > memory_.size()) {
      ended();
    }
    at_ = hashed_ = memory_.data() + offset;
    if (options_.segments != nullptr) {
      end_ = at_;  // later bytes are checked when they are needed
    }
    return;
  }
  if (offset >= window_at_ && offset <= window_at_ + static_cast<std::uint64_t>(end_ - window_)) {
    at_ = hashed_ = window_ + (offset - window_at_);
    return;
  }
  window_ = at_ = end_ = hashed_ = buffer_.get();
  window_at_ = offset;
}

std::size_t Input::fetch(MutableBytes to, std::size_t least) {
  interruption_point();
  try {
    return try_fetch(to, least);
  } catch (const Error& error) {
    rethrow_here(error);
  }
}

std::size_t Input::try_fetch(MutableBytes to, std::size_t least) {
  if (options_.random) {
    const std::uint64_t at = options_.start + window_at_ + static_cast<std::uint64_t>(end_ - window_);
    const std::uint64_t left = options_.end && *options_.end > at ? *options_.end - at : 0;
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(to.size(), left));
    if (size > 0) {
      source_.read_at(at, to.first(size));
    }
    return size;
  }
  std::size_t got = 0;
  while (got < least) {
    const std::size_t n = source_.read(to.subspan(got));
    if (n == 0) {
      break;
    }
    got += n;
  }
  return got;
}

void Input::refill(std::size_t size, std::uint64_t more) {
  if (!memory_.empty()) {
    extend_memory(size);
    return;
  }
  hash_window();
  const std::size_t kept = static_cast<std::size_t>(end_ - at_);
  if (buffer_ == nullptr) {
    capacity_ = options_.window;
    buffer_.reset(new std::byte[capacity_]);
  }
  if (kept > 0) {
    std::memmove(buffer_.get(), at_, kept);
  }
  window_at_ += static_cast<std::uint64_t>(at_ - window_);
  window_ = at_ = hashed_ = buffer_.get();
  end_ = window_ + kept;
  const std::size_t missing = size - kept;
  const std::size_t room = capacity_ - kept;
  std::uint64_t wanted = room;
  if (!options_.random) {
    const std::uint64_t sure = reader_ != nullptr ? reader_->bytes_to_come() : 0;
    wanted = std::min<std::uint64_t>(
        room, missing + std::min<std::uint64_t>(more, capacity_) + std::min<std::uint64_t>(sure, capacity_));
  } else if (options_.mapped != nullptr) {
    wanted = std::min<std::uint64_t>(room, std::max<std::uint64_t>(missing, structure_left(window_at_ + kept)));
  }
  if (options_.random && options_.stored_size) {
    // Do not read into the next compressed block: it may belong to an array, and is then decoded in place by all
    // threads.
    const std::uint64_t at = options_.start + window_at_ + kept;
    wanted = std::min<std::uint64_t>(wanted, std::max<std::uint64_t>(missing, source_.next_cut(at) - at));
  }
  check_expansion();
  const std::size_t got = fetch({buffer_.get() + kept, static_cast<std::size_t>(wanted)}, missing);
  if (options_.segments != nullptr && got > 0) {
    options_.segments->ensure(window_at_, window_at_ + kept + got);
  }
  end_ += got;
  if (got < missing) {
    ended();
  }
}

/// The number of bytes from `offset` to the next listed array, which must not be read as structure.
std::uint64_t Input::structure_left(std::uint64_t offset) const noexcept {
  constexpr std::uint64_t worth_a_call = std::uint64_t{16} << 10;
  const auto& arrays = options_.mapped->arrays;
  auto next = std::lower_bound(arrays.begin(), arrays.end(), offset,
                               [](const ArrayEntry& entry, std::uint64_t at) { return entry.offset < at; });
  while (next != arrays.end() && next->length < worth_a_call && next->offset - offset < capacity_) {
    ++next;
  }
  return next == arrays.end() ? ~std::uint64_t{0} : next->offset - offset;
}

/// Extends the window over memory, after checking the segments there.
void Input::extend_memory(std::size_t size) {
  const std::byte* last = memory_.data() + memory_.size();
  const auto left = static_cast<std::size_t>(last - at_);
  if (options_.segments == nullptr || left < size) {
    ended();
  }
  const std::size_t wanted = std::min(left, std::max<std::size_t>(size, std::size_t{4} << 10));
  options_.segments->ensure(position(), position() + wanted);
  end_ = at_ + wanted;
}

void Input::read(MutableBytes to) {
  while (!to.empty()) {
    if (at_ == end_) {
      refill(1, to.size() - 1);
    }
    const std::size_t size = std::min(to.size(), static_cast<std::size_t>(end_ - at_));
    std::memcpy(to.data(), at_, size);
    at_ += size;
    to = to.subspan(size);
  }
}

void Input::skip(std::uint64_t size) {
  if (options_.random && !options_.hash && static_cast<std::uint64_t>(end_ - at_) < size) {
    if (!may_hold(size)) {
      ended();
    }
    seek(position() + size);
    return;
  }
  while (size > 0) {
    if (at_ == end_) {
      refill(1, size - 1);
    }
    const std::uint64_t step = std::min(size, static_cast<std::uint64_t>(end_ - at_));
    at_ += step;
    size -= step;
  }
}

bool Input::may_hold(std::uint64_t size) const noexcept {
  if (!options_.end) {
    return true;
  }
  const std::uint64_t all = *options_.end - options_.start;
  return position() <= all && size <= all - position();
}

bool Input::surely_holds(std::uint64_t size) const noexcept {
  return options_.end && options_.trusted_size && may_hold(size);
}

void Input::check_expansion() const {
  if (options_.stored_size && expands_too_much(position(), *options_.stored_size, options_.limits)) {
    fail_here(Errc::limit_exceeded,
              "the compressed data expands more than " + std::to_string(options_.limits.expansion) + " times");
  }
}

void Input::begin_payload(bool in_one) {
  hash_window();
  payload_.reset(in_one);
}

/// Says that the next bytes will be read.
void Input::announce(std::uint64_t size) const {
  constexpr std::uint64_t worth_it = std::uint64_t{64} << 10;
  if (options_.random && size > worth_it) {
    source_.will_read(options_.start + position(), size);
  }
}

void Input::payload(MutableBytes to) {
  check_expansion();
  announce(to.size());
  if (in_parallel(to.size())) {
    payload_parallel(to);
    return;
  }
  while (!to.empty()) {
    interruption_point();
    const MutableBytes piece = to.first(std::min(piece_bytes, to.size()));
    fill(piece);
    if (options_.hash_payloads) {
      payload_.update(piece);
    }
    to = to.subspan(piece.size());
  }
}

/// An array's bytes: first from the window, the rest directly.
void Input::fill(MutableBytes to) {
  const std::byte* last = memory_.empty() ? end_ : memory_.data() + memory_.size();
  const std::size_t here = std::min(to.size(), static_cast<std::size_t>(last - at_));
  if (here > 0) {
    std::memcpy(to.data(), at_, here);
    at_ += here;
    to = to.subspan(here);
  }
  hashed_ = at_;
  end_ = std::max(end_, at_);
  if (to.empty()) {
    return;
  }
  if (!memory_.empty()) {
    ended();
  }
  pass_window(position());
  while (!to.empty()) {
    const std::size_t got = fetch(to, 1);
    if (got == 0) {
      ended();
    }
    window_at_ += got;
    to = to.subspan(got);
  }
}

/// Continues at `offset` with an empty window.
void Input::pass_window(std::uint64_t offset) noexcept {
  window_at_ = offset;
  window_ = at_ = end_ = hashed_ = buffer_.get();
}

void Input::encoded_payload(std::uint64_t size, const EncodedRun& run, MutableBytes to) {
  check_expansion();
  announce(size);
  const auto place = [&](std::uint64_t begin, std::uint64_t end) {
    const auto first = static_cast<std::size_t>(begin / run.stored_unit * run.unit);
    const auto last = end == size ? to.size() : static_cast<std::size_t>(end / run.stored_unit * run.unit);
    return to.subspan(first, last - first);
  };
  const auto arrived = [&](std::uint64_t begin, std::uint64_t end) {
    if (options_.hash_payloads) {
      payload_.update(place(begin, end));
    }
  };
  if (in_parallel(size)) {
    const std::uint64_t from = options_.start + position();
    share({.size = size,
           .end_of =
               [&](std::uint64_t begin) {
                 const std::uint64_t end = std::min(source_.next_cut(from + begin) - from, size);
                 return (end + run.stored_unit - 1) / run.stored_unit * run.stored_unit;
               },
           .read =
               [&](std::uint64_t begin, std::uint64_t end) {
                 const auto stored = pieces_.take();
                 stored->resize(static_cast<std::size_t>(end - begin));
                 source_.read_at(from + begin, *stored);
                 run.decode(*stored, place(begin, end));
               },
           .arrived = arrived});
    return;
  }
  const std::uint64_t step = std::max<std::uint64_t>(piece_bytes / run.stored_unit, 1) * run.stored_unit;
  const auto stored = pieces_.take();
  for (std::uint64_t begin = 0; begin < size; begin += step) {
    const std::uint64_t end = std::min(begin + step, size);
    stored->resize(static_cast<std::size_t>(end - begin));
    fill(*stored);
    run.decode(*stored, place(begin, end));
    arrived(begin, end);
  }
}

/// Whether to read the next `size` bytes on several threads.
bool Input::in_parallel(std::uint64_t size) const {
  if (crew_->threads() < 2 || !source_.random_access() || !source_.memory().empty()) {
    return false;
  }
  if (options_.stored_size) {
    const std::uint64_t from = options_.start + position();
    return size > source_.next_cut(from) - from;
  }
  return size >= parallel_bytes && options_.trusted_size;
}

/// Splits the read at huge-page boundaries of the destination, so that no two threads wait for the same page to be
/// cleared. Otherwise that takes a fifth of the time.
void Input::payload_parallel(MutableBytes to) {
  const std::uint64_t from = options_.start + position();
  const std::size_t before = reinterpret_cast<std::uintptr_t>(to.data()) % huge_page_size;
  const auto end_of = [&](std::uint64_t begin) -> std::uint64_t {
    return options_.stored_size ? source_.next_cut(from + begin) - from
                                : begin + huge_page_size - (before + begin) % huge_page_size;
  };
  const auto part = [&](std::uint64_t begin, std::uint64_t end) {
    return to.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
  };
  share({.size = to.size(),
         .end_of = end_of,
         .read = [&](std::uint64_t begin, std::uint64_t end) { source_.read_at(from + begin, part(begin, end)); },
         .arrived =
             [&](std::uint64_t begin, std::uint64_t end) {
               if (options_.hash_payloads) {
                 payload_.update(part(begin, end));
               }
             }});
}

/// Reads pieces on all threads and continues after them.
void Input::share(const Pieces& pieces) {
  try {
    read_pieces(*crew_, pieces);
  } catch (const Error& error) {
    rethrow_here(error);
  }
  pass_window(position() + pieces.size);
  if (!options_.random) {
    source_.seek(options_.start + window_at_);
  }
}

/// Hashes the first pieces of an array that is skipped, on all threads. Returns how many bytes they have.
std::uint64_t Input::hash_pieces(std::uint64_t size) {
  constexpr std::uint64_t piece = frozen::checked_piece_bytes;
  if (crew_->threads() < 2 || !source_.random_access() || size < parallel_bytes || payload_.in_one_wanted()) {
    return 0;
  }
  const std::uint64_t whole = (size - 1) / piece * piece;
  const std::uint64_t from = options_.start + position();
  const Bytes memory = in_place(position(), whole);
  std::vector<std::uint64_t> checksums(static_cast<std::size_t>(whole / piece));
  const Pieces pieces{.size = whole,
                      .end_of = [&](std::uint64_t begin) { return begin + piece; },
                      .read =
                          [&](std::uint64_t begin, std::uint64_t) {
                            Bytes bytes;
                            const auto copy = pieces_.take();
                            if (memory.empty()) {
                              copy->resize(static_cast<std::size_t>(piece));
                              source_.read_at(from + begin, *copy);
                              bytes = *copy;
                            } else {
                              bytes = memory.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(piece));
                            }
                            checksums[static_cast<std::size_t>(begin / piece)] = xxh3_64(bytes);
                          },
                      .arrived = [](std::uint64_t, std::uint64_t) {}};
  if (memory_.empty()) {
    share(pieces);
  } else {
    read_pieces(*crew_, pieces);
    at_ += whole;
  }
  payload_.begin_with(std::move(checksums));
  return whole;
}

void Input::skip_payload(std::uint64_t size, bool hash) {
  if (!hash && options_.random) {
    if (!may_hold(size)) {
      ended();
    }
    seek(position() + size);
    return;
  }
  if (!memory_.empty() && in_place(position(), size).size() != size) {
    ended();
  }
  if (hash && may_hold(size)) {
    size -= hash_pieces(size);
  }
  if (!memory_.empty()) {
    if (hash) {
      payload_.update(in_place(position(), size));
    }
    at_ += size;
    hashed_ = at_;
    end_ = std::max(end_, at_);
    return;
  }
  std::vector<std::byte> buffer(static_cast<std::size_t>(std::min<std::uint64_t>(size, piece_bytes)));
  while (size > 0) {
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(size, buffer.size()));
    payload({buffer.data(), n});
    size -= n;
  }
}

Bytes Input::in_place(std::uint64_t offset, std::uint64_t size) const noexcept {
  if (whole_.empty() || offset > whole_.size() || size > whole_.size() - offset) {
    return {};
  }
  return whole_.subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(size));
}

std::uint64_t Input::structure_checksum() {
  hash_window();
  return structure_.digest64();
}

}  // namespace stele

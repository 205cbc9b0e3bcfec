// Skipping values and resolving references to shared ones.

#include <algorithm>
#include <utility>

#include "archive/read/decoder/decoder.hpp"
#include "archive/read/decoder/state.hpp"
#include "base/stack.hpp"
#include "format/array/typed.hpp"
#include "format/path/path.hpp"

namespace stele {

using cbor::Head;
using cbor::Major;

namespace {

constexpr std::uint64_t free_references = std::uint64_t{1} << 20;  // bytes that may always be read through references
constexpr std::uint64_t most_rereads = 16;                         // of the archive's bytes
constexpr std::uint64_t deferred_mark = std::uint64_t{1} << 63;    // flag in an index: a deferred value

}  // namespace

void Decoder::skip() {
  if (items_ != nullptr) {
    return items_->skip();
  }
  if (at_key() && frames_[depth_ - 1].names != nullptr) {
    frames_[depth_ - 1].awaiting_key = false;
    return;
  }
  if (listed_) {
    listed_.reset();
    return;
  }
  prepare();
  item_at_ = in_->position();
  pending_shared_.clear();
  skip_value();
}

void Decoder::skip_string(const Head& head) {
  if (!head.indefinite()) {
    if (!in_->may_hold(head.value)) {
      error(Errc::truncated, "a length of " + std::to_string(head.value) + " bytes goes beyond the end of the input");
    }
    in_->skip(head.value);
    return;
  }
  while (in_->peek() != cbor::break_byte) {
    const Head chunk = in_->head();
    if (chunk.major != head.major || chunk.indefinite()) {
      error(Errc::malformed, "a string of indefinite length holds something else than strings");
    }
    skip_string(chunk);
  }
  in_->advance(1);
}

void Decoder::skip_value() {
  std::vector<std::uint64_t> open;  // remaining items of the containers around each open container of indefinite length
  std::uint64_t pending = 1;
  const auto add = [&](std::uint64_t items) {
    if (items > (~std::uint64_t{0} >> 2) || !in_->may_hold(items)) {
      error(Errc::truncated, "a count of " + std::to_string(items) + " goes beyond the end of the input");
    }
    pending += items;
  };
  for (;;) {
    if (pending == 0) {
      if (open.empty()) {
        return;
      }
      if (in_->peek() == cbor::break_byte) {
        in_->advance(1);
        pending = open.back();
        open.pop_back();
        continue;
      }
      pending = 1;
    }
    --pending;
    std::size_t size = 0;
    const Head head = peek_head(size);
    const std::uint64_t tag = head.value;
    switch (head.major) {
      case Major::bytes:
      case Major::text:
        in_->advance(size);
        skip_string(head);
        break;
      case Major::array:
      case Major::map:
        in_->advance(size);
        if (!head.indefinite()) {
          add(head.value);
          if (head.major == Major::map) {
            add(head.value);
          }
        } else if (open.size() == in_->options().limits.depth) {
          error(Errc::limit_exceeded, "values are nested more than " + std::to_string(open.size()) + " deep");
        } else {
          open.push_back(pending);
          pending = 0;
        }
        break;
      case Major::tag:
        if (head.indefinite()) {
          error(Errc::malformed, "a tag of indefinite length");
        }
        if (is_array_tag(tag)) {
          skip_data(read_array_header());
          break;
        }
        if (tag == frozen::tag_shareable) {
          new_shared(in_->position());
        }
        in_->advance(size);
        if (tag == frozen::tag_record_definition) {
          add(read_definition());
        } else {
          ++pending;
        }
        break;
      case Major::simple:
        if (head.indefinite()) {
          error(Errc::malformed, "a break outside of a container");
        }
        in_->advance(size);
        break;
      default:
        if (head.indefinite()) {
          error(Errc::malformed, "a number of indefinite length");
        }
        in_->advance(size);
    }
  }
}

/// Copies the directory, one item, while reading it.
std::vector<std::byte> Decoder::capture() {
  std::vector<std::byte> bytes;
  std::uint64_t pending = 1;
  const auto take_bytes = [&](std::uint64_t count) {
    check_allocation(bytes.size(), count);
    while (count > 0) {
      const auto piece = static_cast<std::size_t>(std::min<std::uint64_t>(count, std::uint64_t{1} << 20));
      bytes.resize(bytes.size() + piece);
      in_->read(std::span(bytes).last(piece));
      count -= piece;
    }
  };
  while (pending > 0) {
    --pending;
    std::size_t size = 0;
    const Head head = peek_head(size);
    if (head.indefinite()) {
      error(Errc::malformed,
            "a directory, a dtype and the description of an encoding have items of definite length only");
    }
    take_bytes(size);
    switch (head.major) {
      case Major::bytes:
      case Major::text:
        take_bytes(head.value);
        break;
      case Major::array:
      case Major::map:
        if (head.value > (~std::uint64_t{0} >> 3) || !in_->may_hold(head.value)) {
          error(Errc::truncated, "a count of " + std::to_string(head.value) + " goes beyond the end of the input");
        }
        pending += head.value * (head.major == Major::map ? 2 : 1);
        break;
      case Major::tag:
        ++pending;
        break;
      default:
        break;
    }
  }
  return bytes;
}

// --- Sharing ---------------------------------------------------------------------------------------------------------

std::uint64_t Decoder::new_shared(std::uint64_t tag_at) {
  if (!shared_count_known_) {
    shared_count_ = shared_before(tag_at);
    shared_count_known_ = true;
  }
  if (shared_count_ == shared_offsets_.size() && in_ == &main_ && shared_offsets_complete_) {
    shared_offsets_.push_back(tag_at);
  }
  return shared_count_++;
}

/// Reads heads one after another from `from`, whatever their nesting, until `stop(offset of tag 28)` returns true.
template <class F>
void Decoder::scan_shared(std::uint64_t from, std::uint64_t until, F&& stop) {
  Input::Options options = main_.options();
  options.hash = false;
  options.random = true;
  options.window = std::size_t{16} << 10;
  Input input(main_.source(), options);
  input.seek(from);
  while (input.position() < until) {
    const std::uint64_t at = input.position();
    const Head head = input.head();
    if (head.major == Major::tag && head.value == frozen::tag_shareable && stop(at)) {
      return;
    }
    if ((head.major == Major::bytes || head.major == Major::text) && !head.indefinite()) {
      input.skip(head.value);
    }
  }
}

/// The number of shared values that begin before `offset`.
std::uint64_t Decoder::shared_before(std::uint64_t offset) {
  static const std::vector<SharedEntry> none;
  const auto& anchors = context_.directory != nullptr ? context_.directory->shared : none;
  std::uint64_t count = 0;
  // A directory of another writer may list none; then count from the root.
  std::uint64_t from = anchors.empty() ? root_at_ : offset;
  for (const SharedEntry& anchor : anchors) {
    if (anchor.offset <= offset) {
      count = anchor.index;
      from = anchor.offset;
    }
  }
  scan_shared(from, offset, [&](std::uint64_t at) {
    count += at < offset ? 1 : 0;
    return false;
  });
  return count;
}

std::uint64_t Decoder::shared_offset(std::uint64_t index) {
  if (index < shared_offsets_.size()) {
    return shared_offsets_[static_cast<std::size_t>(index)];
  }
  if (context_.directory == nullptr) {
    error(Errc::malformed, "a reference to a shared value that was not defined before it");
  }
  const SharedEntry* anchor = nullptr;
  for (const SharedEntry& entry : context_.directory->shared) {
    if (entry.index <= index && (anchor == nullptr || entry.index >= anchor->index)) {
      anchor = &entry;
    }
  }
  std::optional<std::uint64_t> found;
  if (anchor != nullptr || context_.directory->shared.empty()) {
    std::uint64_t next_index = anchor != nullptr ? anchor->index : 0;
    scan_shared(anchor != nullptr ? anchor->offset : root_at_, main_.end_of_values(), [&](std::uint64_t at) {
      if (next_index++ == index) {
        found = at;
      }
      return found.has_value();
    });
  }
  if (!found) {
    error(Errc::malformed, "a reference to a shared value that does not exist");
  }
  return *found;
}

SharedIn Decoder::begin_shared() {
  if (items_ != nullptr || listed_) {
    return {};
  }
  if (stack_is_low()) {
    error(Errc::limit_exceeded,
          "pointers point to each other so deeply that the stack of this thread has no room for more");
  }
  prepare();
  item_at_ = in_->position();
  if (!pending_shared_.empty()) {
    // A pointer to an array that is itself shared has two marks; the first belongs to the pointer.
    const std::uint64_t index = pending_shared_.front();
    pending_shared_.erase(pending_shared_.begin());
    return {SharedIn::State::first, index, {}, inside_ || in_ != &main_};
  }
  if (next_is_tag(frozen::tag_deferred)) {
    return read_deferred();
  }
  if (!next_is_tag(frozen::tag_shared_reference)) {
    return {};
  }
  return {SharedIn::State::reference, read_index()};
}

std::optional<std::uint64_t> Decoder::next_reference() {
  if (items_ != nullptr || listed_) {
    return std::nullopt;
  }
  prepare();
  std::size_t size = 0;
  if (!pending_shared_.empty() || !at_tag() || peek_head(size).value != frozen::tag_shared_reference) {
    return std::nullopt;
  }
  return peek_index(size);
}

void Decoder::define_shared(std::uint64_t index, SharedObject object) { shared_objects_[index] = std::move(object); }

SharedObject Decoder::shared(std::uint64_t index) {
  const auto found = shared_objects_.find(index);
  return found == shared_objects_.end() ? SharedObject{} : found->second;
}

void Decoder::abandon() noexcept {
  for (const auto& [index, object] : shared_objects_) {
    object.abandon();
  }
}

bool Decoder::next_is_reference() {
  if (!at_tag()) {
    return false;
  }
  std::size_t size = 0;
  const std::uint64_t tag = peek_head(size).value;
  return tag == frozen::tag_shared_reference || tag == frozen::tag_deferred;
}

/// Reads the tag and the index of a reference; the tag was checked.
std::uint64_t Decoder::read_index() {
  in_->head();
  const Head index = in_->head();
  if (index.major != Major::natural || index.value >= deferred_mark) {
    error(Errc::malformed, "a reference without an index");
  }
  return index.value;
}

/// The index `at` bytes ahead.
std::uint64_t Decoder::peek_index(std::size_t at) {
  const auto first = static_cast<std::uint8_t>(in_->need(at + 1)[at]);
  const std::uint8_t info = first & 31;
  const std::size_t size = cbor::head_bytes(info);
  if (size == 0 || info == cbor::info_indefinite || first >> 5 != static_cast<std::uint8_t>(Major::natural)) {
    error(Errc::malformed, "a reference without an index");
  }
  const std::uint64_t index = cbor::argument(in_->need(at + size) + at, size, info);
  if (index >= deferred_mark) {
    error(Errc::malformed, "a reference without an index");
  }
  return index;
}

std::uint64_t Decoder::peek_deferred() {
  std::size_t size = 0;
  peek_head(size);
  const bool named =
      static_cast<std::uint8_t>(in_->need(size + 1)[size]) >> 5 == static_cast<std::uint8_t>(Major::array);
  return deferred_mark | peek_index(size + (named ? 1 : 0));
}

/// Reads a reference to a deferred value; its tag was checked.
SharedIn Decoder::read_deferred() {
  SharedIn shared{SharedIn::State::deferred, 0};
  in_->head();
  Head head = in_->head();
  const bool named = head.major == Major::array;
  if (named) {
    if (head.indefinite() || head.value != 2) {
      error(Errc::malformed, "a reference to a deferred value is an index, or an array of that and a type's name");
    }
    head = in_->head();
  }
  if (head.major != Major::natural || head.value >= deferred_mark) {
    error(Errc::malformed, "a reference without an index");
  }
  shared.index = deferred_mark | head.value;
  if (named) {
    const Head text = in_->head();
    if (text.major != Major::text && text.major != Major::bytes) {
      error(Errc::malformed, "the name of a type is text");
    }
    read_text(text, shared.type);
  }
  return shared;
}

std::optional<std::string> Decoder::peek_reference() {
  if (items_ != nullptr || listed_) {
    return std::nullopt;
  }
  prepare();
  if (!next_is_reference()) {
    return std::nullopt;
  }
  if (next_is_tag(frozen::tag_deferred)) {
    return deferred_path(peek_deferred() & ~deferred_mark);
  }
  std::size_t size = 0;
  peek_head(size);
  return "*" + std::to_string(peek_index(size));
}

std::optional<std::uint64_t> Decoder::target() {
  if (listed_ || !peek_reference()) {
    return std::nullopt;
  }
  if (!next_is_tag(frozen::tag_deferred)) {
    std::size_t size = 0;
    peek_head(size);
    return shared_offset(peek_index(size));
  }
  const auto found = find_deferred(peek_deferred() & ~deferred_mark);
  if (!found) {
    no_such_deferred();
  }
  return found;
}

// --- Deferred values -------------------------------------------------------------------------------------------------

void Decoder::no_such_deferred() { error(Errc::malformed, "a reference to a deferred value that does not exist"); }

bool Decoder::at_deferred() {
  if (items_ != nullptr || listed_) {
    return false;
  }
  prepare();
  return next_is_tag(frozen::tag_deferred);
}

void Decoder::defer(std::uint64_t index, SharedLater later) {
  later_.emplace(index & ~deferred_mark, std::move(later));
}

void Decoder::finish_shared() {
  read_parts();
  while (!later_.empty()) {
    read_aside();
  }
}

/// After a root value; in a map of indefinite length also between its entries.
bool Decoder::next_is_part() {
  if (items_ != nullptr || listed_ || in_ != &main_ ||
      (in_->options().end && in_->position() >= in_->end_of_values())) {
    return false;
  }
  return next_is_tag(frozen::tag_deferred_values);
}

void Decoder::read_parts() {
  while ((depth_ == 1 || !inside_) && next_is_part()) {
    read_part();
  }
}

/// Passes deferred values in order and reads those that are wanted.
void Decoder::read_part() {
  item_at_ = in_->position();
  in_->head();
  const Head first = in_->head();
  const Head all = in_->head();
  if (first.major != Major::natural || first.value != deferred_passed_ || all.major != Major::array ||
      !all.indefinite()) {
    error(Errc::malformed, "deferred values do not follow one another");
  }
  push(Form::deferred, all, false);
  frames_[depth_ - 1].index = first.value;
  while (advance()) {
    const std::uint64_t index = deferred_passed_++;
    if (later_.contains(index)) {
      read_later(index);
    } else {
      skip();
    }
  }
}

/// Reads a deferred value out of order.
void Decoder::read_aside() {
  auto next = later_.lower_bound(aside_next_);
  if (next == later_.end()) {
    next = later_.begin();
  }
  const std::uint64_t index = next->first;
  if (!inside_ && index >= deferred_passed_) {
    no_such_deferred();
  }
  if (!main_.source().random_access()) {
    error(Errc::unsupported, "a reference to a deferred value that was passed over; reading it needs a file or memory");
  }
  if (aside_ == nullptr || index != aside_next_ || aside_->peek() == cbor::break_byte) {
    const auto offset = find_deferred(index);
    if (!offset) {
      no_such_deferred();
    }
    if (aside_ == nullptr) {
      Input::Options options = main_.options();
      options.hash = false;
      options.random = true;
      aside_ = std::make_unique<Input>(main_.source(), options);
      aside_->set_reader(this);
    }
    aside_->seek(*offset);
    shared_count_known_ = false;
  }
  Input* const from = std::exchange(in_, aside_.get());
  const std::uint64_t open_items = std::exchange(open_items_, 0);
  push(Form::deferred, {Major::array, cbor::info_indefinite, 0}, false);
  frames_[depth_ - 1].index = index + 1;
  read_later(index);
  --depth_;
  aside_next_ = index + 1;
  open_items_ = open_items;
  in_ = from;
}

void Decoder::read_later(std::uint64_t index) {
  const auto found = later_.find(index);
  const SharedLater later = std::move(found->second);
  later_.erase(found);
  if (!later.type.empty() && begin_typed() != later.type) {
    error(Errc::malformed, "a deferred value is of another type than its reference says");
  }
  later.read(*this, later.object.get());
  if (!later.type.empty()) {
    end_typed();
  }
}

std::optional<std::uint64_t> Decoder::find_deferred(std::uint64_t index) {
  Input::Options options = main_.options();
  options.hash = false;
  options.random = true;
  std::uint64_t at = 0;      // index of a deferred value at or before the wanted one
  std::uint64_t offset = 0;  // its offset
  if (context_.directory != nullptr && !context_.directory->deferred.empty()) {
    const auto& anchors = context_.directory->deferred;
    const auto after =
        std::upper_bound(anchors.begin(), anchors.end(), index,
                         [](std::uint64_t wanted, const DeferredEntry& entry) { return wanted < entry.index; });
    if (after != anchors.begin()) {
      at = (after - 1)->index;
      offset = (after - 1)->offset;
    }
  } else {
    // Without an entry in the directory, scan all heads whatever their nesting.
    Input input(main_.source(), options);
    input.seek(root_at_);
    while (input.position() < input.end_of_values() && (offset == 0 || at < index)) {
      const Head head = input.head();
      if (head.major == Major::tag && head.value == frozen::tag_deferred_values) {
        const Head first = input.head();
        input.head();
        if (first.value > index) {
          break;
        }
        at = first.value;
        offset = input.position();
      } else if ((head.major == Major::bytes || head.major == Major::text) && !head.indefinite()) {
        input.skip(head.value);
      }
    }
  }
  if (offset == 0) {
    return std::nullopt;
  }
  DecoderContext context;
  context.directory = context_.directory;
  context.verify = context_.verify;
  context.path = deferred_path(at);
  Decoding from(main_.source(), options, std::move(context));
  from.input.seek(offset);
  Decoder& decoder = from.decoder;
  decoder.begin_inside();
  for (; at < index && !decoder.at_break(); ++at) {
    decoder.skip();
  }
  return decoder.at_break() ? std::nullopt : std::optional(decoder.here());
}

void Decoder::enter_shared(std::uint64_t index) {
  const bool deferred = (index & deferred_mark) != 0;
  if (!main_.source().random_access()) {
    error(Errc::unsupported,
          deferred
              ? "a reference to a value that is stored later, and is wanted here; that needs a file or memory"
              : "a reference to a value that was read as another type before; reading it again needs a file or memory");
  }
  if (references_.size() >= in_->options().limits.depth) {
    error(Errc::limit_exceeded,
          "references follow one another more than " + std::to_string(references_.size()) + " deep");
  }
  Reference reference;
  reference.from = in_;
  reference.open_items = std::exchange(open_items_, 0);
  reference.shared_count = shared_count_;
  reference.shared_count_known = shared_count_known_;
  Input::Options options = main_.options();
  options.hash = false;
  options.random = true;
  options.window = std::size_t{4} << 10;
  std::uint64_t offset = 0;
  if (deferred) {
    const auto found = find_deferred(index & ~deferred_mark);
    if (!found) {
      no_such_deferred();
    }
    offset = *found;
  } else {
    offset = shared_offset(index);
    if (offset >= in_->position()) {
      error(Errc::malformed, "a reference to a shared value that comes after it");
    }
  }
  reference.detour = std::make_unique<Input>(main_.source(), options);
  reference.detour->set_reader(this);
  reference.detour->seek(offset);
  reference.start = offset;
  in_ = reference.detour.get();
  references_.push_back(std::move(reference));
  if (deferred) {
    shared_count_known_ = false;
    pending_shared_.clear();
    return;
  }
  shared_count_ = index;
  shared_count_known_ = true;
  // Consumes the mark; the value itself is next.
  const Head mark = in_->head();
  if (mark.major != Major::tag || mark.value != frozen::tag_shareable) {
    error(Errc::damaged, "a reference points to a value that is not marked as shared");
  }
  ++shared_count_;
  pending_shared_.clear();
}

void Decoder::leave_shared() {
  Reference reference = std::move(references_.back());
  references_.pop_back();
  // References to references multiply. Their targets may be read a few times, but not exponentially often.
  const std::uint64_t read = in_->position() > reference.start ? in_->position() - reference.start : 0;
  referred_bytes_ += read + 1;
  if (referred_bytes_ > free_references && referred_bytes_ / most_rereads > main_.end_of_values()) {
    error(Errc::limit_exceeded, "references repeat the archive's values too often");
  }
  in_ = reference.from;
  pending_shared_.clear();  // these marks do not belong to the next value here
  open_items_ = reference.open_items;
  shared_count_ = reference.shared_count;
  shared_count_known_ = reference.shared_count_known;
}

}  // namespace stele

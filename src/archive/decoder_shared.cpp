// Skipping values and finding shared ones.

#include <algorithm>
#include <utility>

#include "archive/decoder.hpp"
#include "archive/decoder_state.hpp"
#include "format/typed_array.hpp"

namespace stele {

using cbor::Head;
using cbor::Major;

namespace {

constexpr std::uint64_t free_references = std::uint64_t{1} << 20;  // bytes read through references in any case
constexpr std::uint64_t most_rereads = 16;                         // of the archive's bytes

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
  std::vector<std::uint64_t> open;  // items still to come in what encloses each open container of indefinite length
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

/// The directory: one item, copied as it is read.
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

/// Reads heads one after another from `from` on, whatever their nesting, until `stop(tag 28's offset)` is true.
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

/// How many shared values begin before `offset`.
std::uint64_t Decoder::shared_before(std::uint64_t offset) {
  const auto& anchors = context_.directory->shared;
  std::uint64_t count = 0;
  // A foreign directory may list none; then all that lies before counts.
  std::uint64_t from = anchors.empty() ? frozen::label.size() : offset;
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
    scan_shared(anchor != nullptr ? anchor->offset : frozen::label.size(), main_.end_of_values(), [&](std::uint64_t at) {
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
  prepare();
  item_at_ = in_->position();
  if (!pending_shared_.empty()) {
    // A pointer to an array that is shared itself has two marks; the first is the pointer's.
    const std::uint64_t index = pending_shared_.front();
    pending_shared_.erase(pending_shared_.begin());
    return {SharedIn::State::first, index};
  }
  if (!next_is_tag(frozen::tag_shared_reference)) {
    return {};
  }
  in_->head();
  const Head index = in_->head();
  if (index.major != Major::natural) {
    error(Errc::malformed, "a reference without an index");
  }
  return {SharedIn::State::reference, index.value};
}

void Decoder::define_shared(std::uint64_t index, SharedObject object) {
  shared_objects_[index] = std::move(object);
}

SharedObject Decoder::shared(std::uint64_t index) {
  const auto found = shared_objects_.find(index);
  return found == shared_objects_.end() ? SharedObject{} : found->second;
}

void Decoder::abandon() noexcept {
  for (const auto& [index, object] : shared_objects_) {
    object.abandon();
  }
}

std::optional<std::uint64_t> Decoder::peek_reference() {
  if (items_ != nullptr || listed_) {
    return std::nullopt;
  }
  prepare();
  if (!next_is_tag(frozen::tag_shared_reference)) {
    return std::nullopt;
  }
  std::size_t size = 0;
  peek_head(size);
  const std::uint8_t info = static_cast<std::uint8_t>(in_->need(size + 1)[size]) & 31;
  const std::size_t index_size = cbor::head_bytes(info);
  if (index_size == 0 || info == cbor::info_indefinite) {
    error(Errc::malformed, "a reference without an index");
  }
  return cbor::argument(in_->need(size + index_size) + size, index_size, info);
}

void Decoder::enter_shared(std::uint64_t index) {
  if (!main_.source().random_access()) {
    error(Errc::unsupported,
          "a reference to a value that was read as another type before; reading it again needs a file or memory");
  }
  if (references_.size() >= in_->options().limits.depth) {
    error(Errc::limit_exceeded, "references lead to each other more than " + std::to_string(references_.size()) +
                                    " deep");
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
  const std::uint64_t offset = shared_offset(index);
  if (offset >= in_->position()) {
    error(Errc::malformed, "a reference to a shared value that comes after it");
  }
  reference.detour = std::make_unique<Input>(main_.source(), options);
  reference.detour->set_reader(this);
  reference.detour->seek(offset);
  reference.start = offset;
  in_ = reference.detour.get();
  references_.push_back(std::move(reference));
  shared_count_ = index;
  shared_count_known_ = true;
  // Consumes the mark, so that the value itself is next.
  const Head mark = in_->head();
  if (mark.major != Major::tag || mark.value != frozen::tag_shareable) {
    error(Errc::damaged, "a reference leads to a value that is not marked as shared");
  }
  ++shared_count_;
  pending_shared_.clear();
}

void Decoder::leave_shared() {
  Reference reference = std::move(references_.back());
  references_.pop_back();
  // References to references multiply: what they lead to may be read a few times over, not exponentially often.
  const std::uint64_t read = in_->position() > reference.start ? in_->position() - reference.start : 0;
  referred_bytes_ += read + 1;
  if (referred_bytes_ > free_references && referred_bytes_ / most_rereads > main_.end_of_values()) {
    error(Errc::limit_exceeded, "references repeat the archive's values too often");
  }
  in_ = reference.from;
  pending_shared_.clear();  // marks seen there are not those of the value that comes next here
  open_items_ = reference.open_items;
  shared_count_ = reference.shared_count;
  shared_count_known_ = reference.shared_count_known;
}

}  // namespace stele

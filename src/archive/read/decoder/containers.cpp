// Reading sequences, maps and records.

#include <algorithm>
#include <utility>

#include "archive/read/decoder/decoder.hpp"
#include "archive/read/decoder/state.hpp"
#include "archive/value/any_array.hpp"
#include "base/stack.hpp"
#include "base/threads/interruption.hpp"
#include "format/path/path.hpp"

namespace stele {

using cbor::Head;
using cbor::Major;

namespace {

constexpr std::uint64_t items_between_points = 256;  // of work that may be interrupted

}  // namespace

Decoder::Frame& Decoder::push(Form form, const Head& head, bool followed) {
  if (!head.indefinite()) {
    const std::uint64_t per_item = form == Form::map || form == Form::record_map ? 2 : 1;
    if (head.value > (~std::uint64_t{0} >> 2) || !in_->may_hold(head.value * per_item + open_items_)) {
      error(Errc::truncated, "a count of " + std::to_string(head.value) + " goes beyond the end of the input");
    }
    open_items_ += head.value;
  }
  if (depth_ >= in_->options().limits.depth) {
    error(Errc::limit_exceeded,
          "values are nested more than " + std::to_string(depth_) + " deep; LoadOptions::limits.depth allows more");
  }
  if (stack_is_low()) {
    error(Errc::limit_exceeded,
          "values are nested " + std::to_string(depth_) + " deep, and the stack of this thread has no room for more");
  }
  if (depth_ == frames_.size()) {
    frames_.emplace_back();
  }
  Frame& frame = frames_[depth_++];
  frame.form = form;
  frame.indefinite = head.indefinite();
  frame.followed = followed;
  frame.awaiting_key = false;
  frame.remaining = head.indefinite() ? 0 : head.value;
  frame.index = 0;
  frame.names = nullptr;
  frame.key_form = Frame::Key::other;
  frame.key_known = false;
  frame.by_place = true;
  frame.key.clear();
  return frame;
}

void Decoder::pop() {
  const bool followed = frames_[--depth_].followed;
  done(followed);
}

/// Moves to the next item of the innermost container, or closes the container.
bool Decoder::advance() {
  Frame& frame = frames_[depth_ - 1];
  if (frame.indefinite) {
    if (in_->peek() == cbor::break_byte) {
      in_->advance(1);
      pop();
      return false;
    }
  } else {
    if (frame.remaining == 0) {
      pop();
      return false;
    }
    --frame.remaining;
    --open_items_;
  }
  if (++frame.index % items_between_points == 0) {
    interruption_point();
  }
  return true;
}

std::optional<std::uint64_t> Decoder::begin_sequence() {
  if (items_ != nullptr) {
    ++items_depth_;
    return items_->begin_sequence();
  }
  if (kind() == Kind::array) {
    return begin_items();
  }
  const bool followed = take();
  if (next_is_tag(frozen::tag_generic_object)) {
    in_->head();
  }
  const Head head = expect(Major::array, "a sequence");
  push(Form::sequence, head, followed);
  return head.indefinite() ? std::nullopt : std::optional(head.value);
}

std::optional<std::uint64_t> Decoder::begin_items() {
  AnyTarget target;
  array(target);
  if (target.view().shape.rank() == 0 && !has_parts(target.view().dtype)) {
    error(Errc::type_mismatch, "expected a sequence, found one " + target.view().dtype.name());
  }
  check_rows({target.view(), target.buffer()});
  refuse_copy(target.view().byte_count(), "it is read item by item; use stele::Array");
  items_ = array_items(target.view(), target.buffer(), *this);
  items_depth_ = 1;
  return items_->begin_sequence();
}

std::optional<std::uint64_t> Decoder::begin_map() {
  if (items_ != nullptr) {
    ++items_depth_;
    return items_->begin_map();
  }
  const Kind stored = kind();
  if (stored == Kind::record) {
    begin_record();
    frames_[depth_ - 1].form = Form::map;
    return frames_[depth_ - 1].remaining;
  }
  const bool followed = take();
  const Head head = expect(Major::map, "a map");
  push(Form::map, head, followed);
  return head.indefinite() ? std::nullopt : std::optional(head.value);
}

bool Decoder::items_closed(bool more) {
  if (!more && --items_depth_ == 0) {
    items_.reset();
  }
  return more;
}

bool Decoder::next() {
  if (items_ != nullptr) {
    return items_closed(items_->next());
  }
  if (depth_ == 1 && frames_[0].indefinite) {
    read_parts();
  }
  if (!advance()) {
    return false;
  }
  Frame& frame = frames_[depth_ - 1];
  if (frame.form == Form::map) {
    if (!frame.key_known) {
      frame.key_form = Frame::Key::other;
    }
    frame.awaiting_key = true;
    frame.key_known = false;
    frame.by_place = true;
  }
  return true;
}

namespace {

/// Reads a text or number that lies completely in [at, end). Returns its end, or null for anything else.
inline const std::byte* plain_item(const std::byte* at, const std::byte* end, PlainItem::Kind kind, PlainItem& item) {
  if (at == end) {
    return nullptr;
  }
  const auto first = static_cast<std::uint8_t>(*at);
  const std::uint8_t info = first & 31;
  const std::size_t size = cbor::head_bytes(info);
  if (size == 0 || info == cbor::info_indefinite || static_cast<std::size_t>(end - at) < size) {
    return nullptr;
  }
  const auto major = static_cast<Major>(first >> 5);
  const std::uint64_t value = cbor::argument(at, size, info);
  at += size;
  item.bits = value;
  using Kind = PlainItem::Kind;
  if (major == Major::text || major == Major::bytes) {
    if (kind == Kind::number || (kind == Kind::any && major == Major::bytes) ||
        value > static_cast<std::size_t>(end - at)) {
      return nullptr;
    }
    item.text = reinterpret_cast<const char*>(at);
    return at + value;
  }
  if (kind == Kind::text) {
    return nullptr;
  }
  item.text = nullptr;
  if (major == Major::natural || major == Major::negative) {
    item.type = major == Major::natural ? Number::Type::natural : Number::Type::negative;
    return at;
  }
  if (major != Major::simple || info < cbor::info_16) {
    return nullptr;
  }
  item.type = info == cbor::info_64   ? Number::Type::float64
              : info == cbor::info_32 ? Number::Type::float32
                                      : Number::Type::float16;
  return at;
}

}  // namespace

/// Scans the current window; `out` receives whole entries only.
std::size_t Decoder::scan_plain(std::span<const PlainItem::Kind> kinds, std::span<PlainItem> out) {
  const Bytes here = in_->available();
  const std::byte* at = here.data();
  // longer texts are checked one by one
  const std::byte* end = at + std::min<std::uint64_t>(here.size(), in_->options().limits.allocation);
  std::size_t count = 0;
  for (std::size_t i = 0; i < out.size(); i += kinds.size(), ++count) {
    const std::byte* next = at;
    for (std::size_t k = 0; k < kinds.size() && next != nullptr; ++k) {
      next = plain_item(next, end, kinds[k], out[i + k]);
    }
    if (next == nullptr) {
      break;
    }
    at = next;
  }
  run_ = {kinds, out, count, at};
  return count;
}

std::size_t Decoder::peek_plain_items(std::span<const PlainItem::Kind> kinds, std::span<PlainItem> out) {
  run_.count = 0;
  if (items_ != nullptr || depth_ == 0) {
    return 0;
  }
  interruption_point();
  const Frame& frame = frames_[depth_ - 1];
  if (frame.indefinite || frame.names != nullptr || frame.form != (kinds.size() == 2 ? Form::map : Form::sequence)) {
    return 0;
  }
  const std::uint64_t most = std::min<std::uint64_t>(out.size() / kinds.size(), frame.remaining);
  return scan_plain(kinds, out.first(static_cast<std::size_t>(most) * kinds.size()));
}

void Decoder::take_plain_items(std::size_t count) {
  if (count == 0) {
    return;
  }
  if (count < run_.count) {
    scan_plain(run_.kinds, run_.items.first(count * run_.kinds.size()));
  }
  Frame& frame = frames_[depth_ - 1];
  frame.remaining -= count;
  frame.index += count;
  open_items_ -= count;
  if (frame.form == Form::map) {
    for (std::size_t i = count > 1 ? count - 2 : 0; i < count; ++i) {
      const PlainItem& key = run_.items[i * 2];
      key.text != nullptr ? note_key(key.view()) : note_key(Number{key.type, key.bits});
    }
  }
  in_->advance(static_cast<std::size_t>(run_.end - in_->available().data()));
  item_at_ = in_->position();
}

std::uint64_t Decoder::expected_items(std::uint64_t count) const {
  constexpr std::uint64_t most_unseen = 4096;  // reserved when the number of items is not known
  return in_->options().end ? count : std::min(count, most_unseen);
}

bool Decoder::at_key() const noexcept { return depth_ > 0 && frames_[depth_ - 1].awaiting_key; }

void Decoder::note_key(std::string_view key) {
  Frame& frame = frames_[depth_ - 1];
  frame.by_place =
      std::exchange(frame.key_form, Frame::Key::text) == Frame::Key::text && frame.index > 1 && frame.key == key;
  frame.key.assign(key);
  frame.key_known = true;
  frame.awaiting_key = false;
}

void Decoder::note_key(const Number& number) {
  Frame& frame = frames_[depth_ - 1];
  const bool again = std::exchange(frame.key_form, Frame::Key::number) == Frame::Key::number && frame.index > 1 &&
                     frame.number.type == number.type && frame.number.bits == number.bits;
  frame.by_place = again || !is_step(number);
  frame.number = number;
  frame.key_known = true;
  frame.awaiting_key = false;
}

const std::vector<std::string>& Decoder::record_names(std::uint64_t id) {
  const auto known = records_.find(id);
  if (known != records_.end()) {
    return *known->second;
  }
  if (context_.directory != nullptr) {
    // The last definition before the value where reading began.
    const RecordEntry* latest = nullptr;
    for (const RecordEntry& entry : context_.directory->records) {
      if (entry.id == id && entry.offset < in_->position()) {
        latest = &entry;
      }
    }
    if (latest != nullptr) {
      return latest->names;
    }
  }
  error(Errc::malformed, "a record refers to field names that were not defined");
}

/// Reads a definition after its tag: [names, id, values…]. Returns the number of values; the first of them is next.
std::uint64_t Decoder::read_definition() {
  const Head all = in_->head();
  if (all.major != Major::array || all.indefinite() || all.value < 2) {
    error(Errc::malformed, "a record definition is an array of names, an id and values");
  }
  const Head count = in_->head();
  if (count.major != Major::array || count.indefinite() || count.value > (1 << 16)) {
    error(Errc::malformed, "a record definition begins with an array of names");
  }
  std::vector<std::string> names;
  for (std::uint64_t i = 0; i < count.value; ++i) {
    const Head name = in_->head();
    if (name.major != Major::text || name.indefinite() || name.value > (1 << 16)) {
      error(Errc::malformed, "a record's field has a name of text");
    }
    read_text(name, names.emplace_back());
  }
  const Head id = in_->head();
  if (id.major != Major::natural || id.value < frozen::tag_record_first || id.value > frozen::tag_record_last) {
    error(Errc::malformed, "a record definition's id is a tag from 26880 to 27135");
  }
  if (all.value - 2 > names.size()) {
    error(Errc::malformed, "a record has more values than names");
  }
  // Open frames may still use an older definition of the same id, so none is dropped.
  definitions_.push_back(std::move(names));
  records_[id.value] = &definitions_.back();
  return all.value - 2;
}

void Decoder::begin_record() {
  if (items_ != nullptr) {
    ++items_depth_;
    return items_->begin_record();
  }
  const bool followed = take();
  std::size_t size = 0;
  Head head = peek_head(size);
  if (head.major == Major::map) {
    in_->advance(size);
    push(Form::record_map, head, followed);
    return;
  }
  if (head.major != Major::tag) {
    mismatch("a record");
  }
  const std::uint64_t tag = head.value;
  if (tag == frozen::tag_record_definition) {
    in_->advance(size);
    head.value = read_definition();
    head.info = 0;
    Frame& frame = push(Form::record_tuple, head, followed);
    frame.names = &definitions_.back();
    return;
  }
  if (tag < frozen::tag_record_first || tag > frozen::tag_record_last) {
    if (kind() == Kind::array) {
      begin_record_items(followed);
      return;
    }
    mismatch("a record");
  }
  in_->advance(size);
  const std::vector<std::string>& names = record_names(tag);
  head = in_->head();
  if (head.major != Major::array || head.indefinite() || head.value > names.size()) {
    error(Errc::malformed, "a record has more values than names");
  }
  push(Form::record_tuple, head, followed).names = &names;
}

/// One record stored as an array without dimensions.
void Decoder::begin_record_items(bool followed) {
  AnyTarget target;
  array(target);
  done(followed);
  items_ = array_items(target.view(), target.buffer(), *this);
  items_depth_ = 1;
  items_->begin_record();
}

bool Decoder::next_field(std::string_view& name) {
  if (items_ != nullptr) {
    return items_closed(items_->next_field(name));
  }
  if (depth_ == 1 && frames_[0].indefinite) {
    read_parts();
  }
  if (!advance()) {
    return false;
  }
  Frame& frame = frames_[depth_ - 1];
  if (frame.form == Form::record_tuple) {
    name = (*frame.names)[static_cast<std::size_t>(frame.index - 1)];
    return true;
  }
  prepare();
  item_at_ = in_->position();
  const Head head = expect(Major::text, "a field name");
  const Bytes here = in_->available();
  if (!head.indefinite() && head.value <= here.size()) {
    frame.key.assign(reinterpret_cast<const char*>(here.data()), static_cast<std::size_t>(head.value));
    in_->advance(static_cast<std::size_t>(head.value));
  } else {
    read_text(head, frame.key);
  }
  name = frame.key;
  return true;
}

}  // namespace stele

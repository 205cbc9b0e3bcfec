#include "archive/write/encoder.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "archive/write/shared_buffers.hpp"
#include "archive/write/state.hpp"
#include "base/stack.hpp"
#include "base/threads/threads.hpp"
#include "format/array/typed.hpp"
#include "format/frozen.hpp"
#include "format/path/path.hpp"
#include "format/text/utf8.hpp"
#include "stele/version.hpp"

namespace stele {

using cbor::Major;

namespace {

constexpr std::uint64_t deferred_mark = std::uint64_t{1} << 63;  // flag in the shared table: deferred

}  // namespace

Encoder::Encoder(Sink& sink, CompressingSink* compressor, const SaveOptions& options, bool behind)
    : out_(sink, compressor, thread_count(options.threads), behind),
      sink_(sink),
      compressor_(compressor),
      options_(options) {
  canonical_ = options.canonical;
  types_ = options.types;
}

Encoder::~Encoder() = default;

void Encoder::begin(const Walkable& value) {
  value_ = value;
  out_.restart();
  directory_ = Directory{};
  directory_.format = format_version;
  directory_.writer = std::string("stele ") + version_string;
  directory_.metadata = options_.metadata;
  definitions_.clear();
  shared_.clear();
  shared_count_ = 0;
  marks_ = 0;
  base_ = 0;
  deferred_.clear();
  deferred_done_ = 0;
  buffers_.reset();
  in_parts_ = false;
  growing_.reset();
  continued_ = false;
  depth_ = 0;
  if (frames_.empty()) {
    frames_.reserve(8);
    frames_.emplace_back();
  }
  frames_[0] = Frame{};
  frames_[0].count = 1;
  std::byte* at = out_.room(frozen::label.size());
  std::memcpy(at, frozen::label.data(), frozen::label.size());
  out_.commit(at + frozen::label.size());
}

void Encoder::finish_value() {
  if (depth_ != 0 || frames_[0].index != 1) {
    fail(Errc::invalid_argument, "an archive holds exactly one value");
  }
  put_deferred();
}

void Encoder::finish_archive() {
  // The last segment ends where the directory begins; the directory has its own checksum.
  directory_.segments = out_.segments();
  std::erase_if(directory_.steps, [](const StepEntry& entry) { return entry.steps.empty(); });
  constexpr std::uint64_t long_file = std::uint64_t{1} << 20;
  if (out_.position() >= long_file) {
    out_.end_block();  // so that who opens it needs no more than the directory
  }
  Trailer trailer;
  trailer.directory_offset = out_.position();
  const std::vector<std::byte> item = encode_directory(directory_);
  trailer.directory_length = item.size();
  trailer.directory_checksum = xxh3_64(item);
  out_.structure(item);
  // Pad to a multiple of 64, so that arrays are also aligned in an archive that follows another.
  std::vector<std::byte> padding;
  padding.reserve(2 * frozen::array_alignment);
  cbor::Builder pad(padding);
  put_padding(pad, padding_before(out_.position(), frozen::trailer_bytes));
  out_.structure(padding);
  trailer.total_length = out_.position() + frozen::trailer_bytes;
  trailer.structure_checksum = out_.structure_checksum();
  out_.structure(encode_trailer(trailer));
  out_.flush();
}

// --- Items -----------------------------------------------------------------------------------------------------------

Encoder::Frame& Encoder::push(Form form, std::uint64_t count) {
  if (depth_ - base_ >= options_.limits.depth || stack_is_low()) {
    too_deep();
  }
  const bool repeats = frames_[depth_].repeats || ((form == Form::sequence || form == Form::map) && count > 1);
  const std::uint64_t start = frames_[depth_].item_at;
  if (++depth_ == frames_.size()) {
    frames_.emplace_back();
  }
  Frame& frame = frames_[depth_];
  frame.form = form;
  frame.repeats = repeats;
  frame.sorted = true;
  frame.key_form = Frame::Key::other;
  frame.count = count;
  frame.index = 0;
  frame.start = start;
  frame.stepped = out_.position();
  frame.steps = 0;
  return frame;
}

void Encoder::too_deep() {
  const std::size_t depth = depth_ - base_;
  fail(Errc::limit_exceeded,
       depth >= options_.limits.depth
           ? "values are nested more than " + std::to_string(depth) + " deep; SaveOptions::limits.depth allows more"
           : "values are nested " + std::to_string(depth) + " deep, and the stack of this thread has no room for more",
       {path(), out_.position()});
}

void Encoder::put_name(Frame& frame) {
  std::size_t index = static_cast<std::size_t>(frame.index);
  if (frame.record.version != 0) {
    --index;  // begin_record already wrote "@version"
  }
  const std::string_view name = frame.record.names[index];
  out_.head(Major::text, name.size());
  out_.structure(std::as_bytes(std::span(name)));
}

void Encoder::note_step(Frame& frame) {
  const bool is_map = frame.form == Form::map;
  if (frame.form == Form::deferred) {
    frame.stepped = out_.position();
    directory_.deferred.push_back({frame.index, out_.position()});
    return;
  }
  if (frame.form != Form::sequence && !(is_map && frame.index % 2 == 0)) {
    return;
  }
  frame.stepped = out_.position();
  if (is_map && (!frame.sorted || frame.index == 0)) {
    return;
  }
  if (frame.steps == 0) {
    const std::size_t saved = depth_--;
    directory_.steps.push_back({path(), is_map, {}});
    depth_ = saved;
    frame.steps = directory_.steps.size();
  }
  // key_text() comes next and adds a map's key
  directory_.steps[frame.steps - 1].steps.push_back({is_map ? frame.index / 2 : frame.index, out_.position(), {}});
}

void Encoder::key_text(std::string_view key) {
  Frame& frame = frames_[depth_];
  order_key(frame, frame.key, key);
  frame.key.assign(key);
}

/// The current key is a text; unless it is the first, it must be greater than `last`.
void Encoder::order_key(Frame& frame, std::string_view last, std::string_view key) {
  const bool follows_text = std::exchange(frame.key_form, Frame::Key::text) == Frame::Key::text && frame.index > 1;
  frame.by_place = false;
  if (frame.sorted && follows_text && !(last < key)) {
    drop_steps(frame);
  }
  if (!frame.sorted) {
    frame.by_place = follows_text && last == key;
  } else if (frame.steps != 0) {
    StepEntry::Step& step = directory_.steps[frame.steps - 1].steps.back();
    if (step.index == frame.index / 2 && step.key.empty()) {
      step.key.assign(key);
    }
  }
}

/// Lookups by key need ascending text keys.
void Encoder::drop_steps(Frame& frame) {
  frame.sorted = false;
  if (frame.steps != 0) {
    directory_.steps[frame.steps - 1].steps.clear();
  }
}

void Encoder::key_number(Number::Type type, std::uint64_t bits) {
  Frame& frame = frames_[depth_];
  const Number number{type, bits};
  const bool again = std::exchange(frame.key_form, Frame::Key::number) == Frame::Key::number && frame.index > 1 &&
                     frame.number.type == type && frame.number.bits == bits;
  frame.by_place = again || !is_step(number);
  frame.number = number;
  if (frame.sorted) {
    drop_steps(frame);
  }
}

void Encoder::key_other() {
  Frame& frame = frames_[depth_];
  frame.key_form = Frame::Key::other;
  frame.by_place = true;
  if (frame.sorted) {
    drop_steps(frame);
  }
}

void Encoder::scalar(Major major, std::uint64_t value) {
  item();
  if (at_key()) {
    key_number(major == Major::natural ? Number::Type::natural : Number::Type::negative, value);
  }
  out_.head(major, value);
}

std::string Encoder::path(bool next) const {
  std::string text;
  for (std::size_t i = 1; i <= depth_; ++i) {
    const Frame& frame = frames_[i];
    const bool at_next = next && i == depth_ && !continued_;
    const std::uint64_t index = frame.index + (at_next && (frame.form != Form::map || frame.index % 2 == 1) ? 1 : 0);
    if (index == 0 || (at_next && frame.form == Form::map && frame.index % 2 == 0) ||
        (at_next && frame.form == Form::sequence && index > frame.count)) {
      break;  // no item yet, the key is not known, or all items are complete
    }
    switch (frame.form) {
      case Form::map:
        if (frame.by_place) {
          append_place(text, (index - 1) / 2);
        } else {
          append_step(text, frame.key_form == Frame::Key::text ? frame.key : number_text(frame.number));
        }
        break;
      case Form::deferred:
        text = deferred_path(index - 1);
        break;
      case Form::record_map:
      case Form::record_tuple: {
        const std::uint64_t skipped = frame.record.version != 0 ? 2 : 1;
        if (index >= skipped && index - skipped < frame.record.names.size()) {
          append_step(text, frame.record.names[static_cast<std::size_t>(index - skipped)]);
        }
        break;
      }
      default:
        append_step(text, std::to_string(index - 1));
    }
  }
  return text;
}

// --- Scalars ---------------------------------------------------------------------------------------------------------

void Encoder::null() {
  item();
  if (at_key()) {
    key_other();
  }
  out_.byte(cbor::null_byte);
}

void Encoder::boolean(bool value) {
  item();
  if (at_key()) {
    key_other();
  }
  out_.byte(value ? cbor::true_byte : cbor::false_byte);
}

void Encoder::integer(std::int64_t value) {
  if (value >= 0) {
    scalar(Major::natural, static_cast<std::uint64_t>(value));
  } else {
    scalar(Major::negative, ~static_cast<std::uint64_t>(value));
  }
}

void Encoder::natural(std::uint64_t value) { scalar(Major::natural, value); }

void Encoder::put_text(std::string_view value) {
  if (value.size() <= 256) {
    std::byte* const head = out_.room(value.size() + cbor::max_head);
    std::byte* const at = cbor::put_head(head, Major::text, value.size());
    if (!copy_ascii(at, value) && !is_utf8(value)) {
      cbor::put_head(head, Major::bytes, value.size());
    }
    out_.commit(at + value.size());
    return;
  }
  out_.head(is_utf8(value) ? Major::text : Major::bytes, value.size());
  out_.structure(std::as_bytes(std::span(value)));
}

void Encoder::put_float(std::uint8_t info, std::uint64_t bits) {
  const std::size_t size = cbor::head_bytes(info);
  std::byte* at = out_.room(size);
  *at = cbor::first_byte(Major::simple, info);
  if (info == cbor::info_64) {
    store_be<std::uint64_t>(at + 1, bits);
  } else if (info == cbor::info_32) {
    store_be<std::uint32_t>(at + 1, static_cast<std::uint32_t>(bits));
  } else {
    store_be<std::uint16_t>(at + 1, static_cast<std::uint16_t>(bits));
  }
  out_.commit(at + size);
}

void Encoder::real(float16 value) {
  item();
  if (at_key()) {
    key_number(Number::Type::float16, value.bits);
  }
  put_float(cbor::info_16, value.bits);
}

void Encoder::real(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  item();
  if (at_key()) {
    key_number(Number::Type::float32, bits);
  }
  put_float(cbor::info_32, bits);
}

void Encoder::real(double value) {
  const auto bits = std::bit_cast<std::uint64_t>(value);
  item();
  if (at_key()) {
    key_number(Number::Type::float64, bits);
  }
  put_float(cbor::info_64, bits);
}

void Encoder::text(std::string_view value) {
  item();
  if (at_key()) {
    key_text(value);
  }
  put_text(value);
}

void Encoder::plain_items(std::span<const PlainItem> items) {
  Frame& frame = frames_[depth_];
  const bool is_map = frame.form == Form::map;
  if (continued_ || (!is_map && frame.form != Form::sequence)) {
    return OutVisitor::plain_items(items);
  }
  std::string_view last_key = frame.key;
  for (const PlainItem& plain : items) {
    if (out_.position() - frame.stepped >= frozen::step_bytes) {
      note_step(frame);
    }
    ++frame.index;
    const bool is_key = is_map && frame.index % 2 == 1;
    if (plain.text != nullptr) {
      const std::string_view text = plain.view();
      if (is_key) {
        order_key(frame, last_key, text);
        last_key = text;
      }
      put_text(text);
      continue;
    }
    if (is_key) {
      key_number(plain.type, plain.bits);
    }
    switch (plain.type) {
      case Number::Type::natural:
        out_.head(Major::natural, plain.bits);
        break;
      case Number::Type::negative:
        out_.head(Major::negative, plain.bits);
        break;
      case Number::Type::float16:
        put_float(cbor::info_16, plain.bits);
        break;
      case Number::Type::float32:
        put_float(cbor::info_32, plain.bits);
        break;
      case Number::Type::float64:
        put_float(cbor::info_64, plain.bits);
    }
  }
  if (last_key.data() != frame.key.data()) {
    frame.key.assign(last_key);
  }
}

void Encoder::bytes(Bytes value) {
  item();
  if (at_key()) {
    key_other();
  }
  out_.head(Major::bytes, value.size());
  out_.structure(value);
}

// --- Containers ------------------------------------------------------------------------------------------------------

void Encoder::begin_sequence(std::uint64_t count, Ordering) {
  item();
  if (at_key()) {
    key_other();
  }
  push(Form::sequence, count);
  out_.head(Major::array, count);
}

void Encoder::begin_map(std::uint64_t count, Ordering) {
  item();
  if (at_key()) {
    key_other();
  }
  push(Form::map, count);
  out_.head(Major::map, count);
}

void Encoder::begin_open_map() {
  item();
  push(Form::map, 2);
  out_.byte(cbor::first_byte(Major::map, cbor::info_indefinite));
  frames_[depth_].count = ~std::uint64_t{0};
  in_parts_ = true;
}

void Encoder::begin_entry(std::string_view key) {
  if (buffers_ != nullptr) {
    buffers_->begin_part();
  }
  text(key);
}

void Encoder::end_entry() { put_deferred(); }

std::size_t Encoder::definition_of(const RecordInfo& info, bool& is_new) {
  const auto matches = [&](const Definition& definition) {
    if (info.type_id != nullptr && definition.type_id == info.type_id) {
      return true;
    }
    return definition.version == info.version && info.type_id == nullptr && definition.type_id == nullptr &&
           std::equal(definition.names.begin(), definition.names.end(), info.names.begin(), info.names.end());
  };
  is_new = false;
  if (last_definition_ < definitions_.size() && matches(definitions_[last_definition_])) {
    return last_definition_;
  }
  const auto found = std::find_if(definitions_.begin(), definitions_.end(), matches);
  last_definition_ = static_cast<std::size_t>(found - definitions_.begin());
  if (found == definitions_.end() && definitions_.size() <= frozen::tag_record_last - frozen::tag_record_first) {
    is_new = true;
    definitions_.push_back({info.type_id, info.version, {info.names.begin(), info.names.end()}});
  }
  return last_definition_;
}

void Encoder::begin_record(const RecordInfo& info) {
  item();
  if (at_key()) {
    key_other();
  }
  const bool versioned = info.version != 0;
  const std::uint64_t count = info.names.size() + (versioned ? 1 : 0);
  bool is_new = false;
  const std::size_t definition = frames_[depth_].repeats ? definition_of(info, is_new) : definitions_.size();
  if (definition == definitions_.size()) {
    Frame& frame = push(Form::record_map, count);
    frame.record = info;
    out_.head(Major::map, count);
    if (versioned) {
      out_.head(Major::text, walk_version_name.size());
      out_.structure(std::as_bytes(std::span(walk_version_name)));
      out_.head(Major::natural, info.version);
      frame.index = 1;
    }
    return;
  }
  Frame& frame = push(Form::record_tuple, count);
  frame.record = info;
  const std::uint64_t id = frozen::tag_record_first + definition;
  if (is_new) {
    RecordEntry& entry = directory_.records.emplace_back();
    entry.offset = out_.position();
    entry.id = id;
    out_.head(Major::tag, frozen::tag_record_definition);
    out_.head(Major::array, count + 2);
    out_.head(Major::array, count);
    const auto put = [&](std::string_view name) {
      entry.names.emplace_back(name);
      out_.head(Major::text, name.size());
      out_.structure(std::as_bytes(std::span(name)));
    };
    if (versioned) {
      put(walk_version_name);
    }
    for (const std::string_view name : info.names) {
      put(name);
    }
    out_.head(Major::natural, id);
  } else {
    out_.head(Major::tag, id);
    out_.head(Major::array, count);
  }
  if (versioned) {
    out_.head(Major::natural, info.version);
    frame.index = 1;
  }
}

void Encoder::end() {
  const Frame& frame = frames_[depth_];
  if (frame.count == ~std::uint64_t{0}) {
    out_.byte(cbor::break_byte);
  } else if (frame.index != frame.count * (frame.form == Form::map ? 2 : 1)) {
    fail(Errc::invalid_argument, "a container was given another number of items than it announced",
         {path(), out_.position()});
  }
  const std::uint64_t length = out_.position() - frame.start;
  const std::uint64_t start = frame.start;
  --depth_;
  if (length >= frozen::listed_node_bytes && depth_ - base_ < frozen::deferring_depth) {  // deeper, paths get long
    directory_.nodes.push_back({path(), start, length});
  }
}

// --- Sharing and types -----------------------------------------------------------------------------------------------

std::uint64_t Encoder::define_shared() {
  if (directory_.shared.empty() || out_.position() - directory_.shared.back().offset >= frozen::step_bytes) {
    directory_.shared.push_back({shared_count_, out_.position()});
  }
  return shared_count_++;
}

void Encoder::reference(std::uint64_t index) {
  out_.head(Major::tag, frozen::tag_shared_reference);
  out_.head(Major::natural, index);
}

bool Encoder::begin_shared(const SharedOut& object) {
  marks_ = continued_ ? marks_ + 1 : 0;
  item();
  if (at_key()) {
    key_other();
  }
  const SharedTable::Met met = shared_.meet(object);
  if (met.value == nullptr) {
    fail(Errc::invalid_argument, SharedTable::problem(met.what), {path(), out_.position()});
  }
  if (!met.is_first()) {
    if ((*met.value & deferred_mark) != 0) {
      refer_deferred(object, *met.value & ~deferred_mark);
    } else {
      reference(*met.value);
    }
    return false;
  }
  if (defers()) {
    const std::uint64_t index = deferred_done_ + deferred_.size();
    *met.value = deferred_mark | index;
    refer_deferred(object, index);
    deferred_.push_back(object.later());
    return false;
  }
  *met.value = define_shared();
  out_.head(Major::tag, frozen::tag_shareable);
  continued_ = true;
  return true;
}

void Encoder::refer_deferred(const SharedOut& object, std::uint64_t index) {
  out_.head(Major::tag, frozen::tag_deferred);
  const std::string name = object.type_name();
  if (!name.empty()) {
    out_.head(Major::array, 2);
  }
  out_.head(Major::natural, index);
  if (!name.empty()) {
    out_.head(Major::text, name.size());
    out_.structure(std::as_bytes(std::span(name)));
  }
}

/// Writes the deferred values, including those that are added meanwhile.
void Encoder::put_deferred() {
  if (deferred_.empty()) {
    return;
  }
  out_.head(Major::tag, frozen::tag_deferred_values);
  out_.head(Major::natural, deferred_done_);
  const std::size_t base = base_;
  push(Form::deferred, ~std::uint64_t{0});
  base_ = depth_;
  frames_[depth_].repeats = true;
  frames_[depth_].index = deferred_done_;
  out_.byte(cbor::first_byte(Major::array, cbor::info_indefinite));
  note_step(frames_[depth_]);
  while (!deferred_.empty()) {
    const SharedOut::Later later = std::move(deferred_.front());
    deferred_.pop_front();
    ++deferred_done_;
    try {
      later.write(*this, later.value.get());
    } catch (const Error& error) {
      rethrow(error, nullptr, nullptr);  // keeps the place; the root is not walked here
    }
    if (depth_ != base_ || frames_[depth_].index != deferred_done_) {
      fail(Errc::invalid_argument, "a shared object was not written as exactly one value", {path(), out_.position()});
    }
  }
  out_.byte(cbor::break_byte);
  --depth_;
  base_ = base;
}

void Encoder::begin_typed(std::string_view name) {
  item();
  out_.head(Major::tag, frozen::tag_generic_object);
  out_.head(Major::array, 2);
  out_.head(Major::text, name.size());
  out_.structure(std::as_bytes(std::span(name)));
  continued_ = true;
}

}  // namespace stele

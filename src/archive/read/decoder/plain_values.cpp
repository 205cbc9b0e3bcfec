// Looking ahead at values of texts, numbers, sequences, maps and records.

#include <algorithm>
#include <cstring>
#include <utility>

#include "archive/read/decoder/decoder.hpp"
#include "archive/read/decoder/state.hpp"

namespace stele {

using cbor::Major;

namespace {

/// Containers inside each other that are looked into: those around a value that is not plain are read one by one, and
/// each looks at it again.
constexpr std::size_t most_levels = 12;

class Scan {
 public:
  using Records = std::unordered_map<std::uint64_t, const std::vector<std::string>*>;
  Scan(std::span<const std::string_view> names, const Records& records, const std::byte* end, PlainPart* to_end,
       std::size_t levels) noexcept
      : names_(names), records_(records), end_(end), to_end_(to_end), levels_(std::min(levels, most_levels)) {}

  /// Reads a value that lies completely before the end, moving `at` and `to` behind it. False for anything else.
  bool value(const std::byte*& at, PlainPart*& to) noexcept {
    Level open[most_levels];
    std::size_t depth = 0;
    for (;;) {
      if (depth > 0 && open[depth - 1].fields != nullptr) {
        if (to == to_end_) {
          return false;
        }
        const std::string& field = *open[depth - 1].fields++;
        *to++ = {PlainPart::Kind::text, {}, 0, field.data(), field.size()};
        --open[depth - 1].left;
      }
      const bool is_key = depth > 0 && open[depth - 1].is_map && open[depth - 1].left % 2 == 0;
      if (!part(at, to, is_key)) {
        return false;
      }
      const PlainPart& made = *to++;
      const bool is_map = made.kind == PlainPart::Kind::map;
      if (is_map || made.kind == PlainPart::Kind::sequence) {
        if (depth == levels_ || made.bits > static_cast<std::size_t>(end_ - at)) {  // each part takes a byte
          return false;
        }
        if (made.bits > 0) {
          open[depth++] = {made.bits << (is_map ? 1 : 0), is_map, std::exchange(fields_, nullptr)};
          continue;
        }
      }
      while (depth > 0 && --open[depth - 1].left == 0) {
        --depth;
      }
      if (depth == 0) {
        return true;
      }
    }
  }
  bool key(const std::byte*& at, PlainPart*& to) noexcept { return part(at, to, true) && (++to, true); }

 private:
  struct Level {
    std::uint64_t left;  // items, or keys and values
    bool is_map;
    const std::string* fields;  // the next name of a record; null: the keys are stored
  };

  bool part(const std::byte*& at, PlainPart* to, bool is_key) noexcept {
    return to != to_end_ && at != end_ && part(at, *to, is_key);
  }

  bool part(const std::byte*& at, PlainPart& to, bool is_key) noexcept {
    to.name = 0;
    fields_ = nullptr;
    auto first = static_cast<std::uint8_t>(*at);
    if (first >> 5 == static_cast<std::uint8_t>(Major::tag)) {
      if (is_key) {
        return false;
      }
      if (first == static_cast<std::uint8_t>(cbor::first_byte(Major::tag, cbor::info_16))) {
        return record(at, to);
      }
      if (!type_name(at, to.name)) {
        return false;
      }
      first = static_cast<std::uint8_t>(*at);
      if (first >> 5 != static_cast<std::uint8_t>(Major::array)) {
        return false;
      }
    }
    const std::uint8_t info = first & 31;
    const std::size_t size = cbor::head_bytes(info);
    if (size == 0 || info == cbor::info_indefinite || static_cast<std::size_t>(end_ - at) < size) {
      return false;
    }
    const std::uint64_t value = cbor::argument(at, size, info);
    at += size;
    to.bits = value;
    using Kind = PlainPart::Kind;
    switch (static_cast<Major>(first >> 5)) {
      case Major::natural:
      case Major::negative:
        to.kind = Kind::number;
        to.type = first >> 5 == 0 ? Number::Type::natural : Number::Type::negative;
        return true;
      case Major::text:
      case Major::bytes:
        if ((is_key && first >> 5 != static_cast<std::uint8_t>(Major::text)) ||
            value > static_cast<std::size_t>(end_ - at)) {
          return false;
        }
        to.kind = first >> 5 == static_cast<std::uint8_t>(Major::text) ? Kind::text : Kind::bytes;
        to.text = reinterpret_cast<const char*>(at);
        at += value;
        return true;
      case Major::array:
        to.kind = Kind::sequence;
        return !is_key;
      case Major::map:
        to.kind = Kind::map;
        return !is_key;
      case Major::simple:
        break;
      default:
        return false;
    }
    if (info >= cbor::info_16 && info <= cbor::info_64) {
      to.kind = Kind::number;
      to.type = info == cbor::info_64   ? Number::Type::float64
                : info == cbor::info_32 ? Number::Type::float32
                                        : Number::Type::float16;
      return true;
    }
    if (is_key) {
      return false;
    }
    const std::byte whole{first};
    if (whole == cbor::false_byte || whole == cbor::true_byte) {
      to.kind = Kind::boolean;
      to.bits = whole == cbor::true_byte ? 1 : 0;
      return true;
    }
    to.kind = Kind::null;
    to.bits = 0;
    return whole == cbor::null_byte || whole == cbor::undefined_byte;
  }

  /// The head of a record whose names were defined, as a map of as many entries.
  bool record(const std::byte*& at, PlainPart& to) noexcept {
    constexpr std::size_t head = 3;
    if (static_cast<std::size_t>(end_ - at) <= head) {
      return false;
    }
    const std::uint64_t id = cbor::argument(at, head, cbor::info_16);
    if (id != last_id_) {
      const auto found = records_.find(id);
      if (found == records_.end()) {
        return false;
      }
      last_id_ = id;
      last_record_ = found->second;
    }
    const auto first = static_cast<std::uint8_t>(at[head]);
    const std::uint8_t info = first & 31;
    const std::size_t size = cbor::head_bytes(info);
    if (first >> 5 != static_cast<std::uint8_t>(Major::array) || size == 0 || info == cbor::info_indefinite ||
        static_cast<std::size_t>(end_ - at) < head + size) {
      return false;
    }
    to.bits = cbor::argument(at + head, size, info);
    if (to.bits > last_record_->size()) {
      return false;
    }
    to.kind = PlainPart::Kind::map;
    fields_ = last_record_->data();
    at += head + size;
    return true;
  }

  /// Passes the tag and the name of a typed value, if the name is one that is asked for; at least one byte follows.
  bool type_name(const std::byte*& at, std::uint8_t& name) const noexcept {
    static_assert(frozen::tag_generic_object >= cbor::info_8 && frozen::tag_generic_object <= 0xff);
    constexpr std::size_t head = 4;  // of the tag, the array of two, and a short text
    if (static_cast<std::size_t>(end_ - at) < head || at[0] != cbor::first_byte(Major::tag, cbor::info_8) ||
        at[1] != static_cast<std::byte>(frozen::tag_generic_object) || at[2] != cbor::first_byte(Major::array, 2)) {
      return false;
    }
    const auto rest = static_cast<std::size_t>(end_ - at) - head;
    for (std::size_t i = 0; i < names_.size(); ++i) {
      const std::string_view known = names_[i];
      if (known.size() < cbor::info_8 && known.size() < rest &&
          at[3] == cbor::first_byte(Major::text, static_cast<std::uint8_t>(known.size())) &&
          std::memcmp(at + head, known.data(), known.size()) == 0) {
        name = static_cast<std::uint8_t>(i + 1);
        at += head + known.size();
        return true;
      }
    }
    return false;
  }

  const std::span<const std::string_view> names_;
  const Records& records_;
  std::uint64_t last_id_ = 0;
  const std::vector<std::string>* last_record_ = nullptr;  // of that id
  const std::string* fields_ = nullptr;                    // of the record whose head was read last
  const std::byte* const end_;
  PlainPart* const to_end_;
  const std::size_t levels_;
};

}  // namespace

/// Scans the current window for at most `most` values, or entries of a map.
std::size_t Decoder::scan_values(std::size_t most) {
  const Bytes here = in_->available();
  const Limits& limits = in_->options().limits;
  const std::byte* at = here.data();
  // longer texts are checked one by one
  const std::byte* const end = at + std::min<std::uint64_t>(here.size(), limits.allocation);
  PlainPart* const first = values_.parts.data();
  Scan scan(values_.names, records_, end, first + values_.parts.size(),
            static_cast<std::size_t>(std::max<std::uint64_t>(limits.depth, depth_) - depth_));
  const bool is_map = frames_[depth_ - 1].form == Form::map;
  PlainPart* to = first;
  std::size_t count = 0;
  for (const std::byte* next = at; count < most; ++count, at = next) {
    const auto begin = static_cast<std::size_t>(to - first);
    if ((is_map && !scan.key(next, to)) || !scan.value(next, to)) {
      break;
    }
    values_.keys = {begin, values_.keys[0]};
  }
  values_.count = count;
  values_.end = at;
  return count;
}

std::size_t Decoder::peek_plain_values(std::span<const std::string_view> names, std::span<PlainPart> out) {
  values_.count = 0;
  if (items_ != nullptr || depth_ == 0) {
    return 0;
  }
  const Frame& frame = frames_[depth_ - 1];
  if (frame.indefinite || frame.names != nullptr || (frame.form != Form::map && frame.form != Form::sequence)) {
    return 0;
  }
  values_.names = names;
  values_.parts = out;
  return scan_values(static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), frame.remaining)));
}

void Decoder::take_plain_values(std::size_t count) {
  if (count == 0) {
    return;
  }
  if (count < values_.count) {
    scan_values(count);
  }
  Frame& frame = frames_[depth_ - 1];
  frame.remaining -= count;
  frame.index += count;
  open_items_ -= count;
  if (frame.form == Form::map) {
    for (std::size_t i = std::min<std::size_t>(count, 2); i-- > 0;) {
      const PlainPart& key = values_.parts[values_.keys[i]];
      key.kind == PlainPart::Kind::text ? note_key(key.view()) : note_key(Number{key.type, key.bits});
    }
  }
  in_->advance(static_cast<std::size_t>(values_.end - in_->available().data()));
  item_at_ = in_->position();
}

}  // namespace stele

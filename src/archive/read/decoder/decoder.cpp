#include "archive/read/decoder/decoder.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "archive/convert.hpp"
#include "archive/read/decoder/state.hpp"
#include "archive/value/any_array.hpp"
#include "base/bytes.hpp"
#include "format/array/typed.hpp"
#include "format/path/path.hpp"

namespace stele {

using cbor::Head;
using cbor::Major;

Decoder::Decoder(Input& input, DecoderContext context) : in_(&input), main_(input), context_(std::move(context)) {
  field_rules_ = context_.field_rules;
  types_ = context_.types;
  input.set_reader(this);
}

Decoder::~Decoder() { main_.set_reader(nullptr); }

// --- The archive around the root -------------------------------------------------------------------------------------

void Decoder::begin() {
  for (std::size_t i = 0; i < frozen::label.size(); ++i) {  // byte by byte: the input may be shorter
    if (in_->need(i + 1)[i] != static_cast<std::byte>(frozen::label[i])) {
      fail(Errc::not_an_archive, "this is no stele archive: it does not begin with the label", {{}, in_->position()});
    }
  }
  in_->advance(frozen::label.size());
}

/// Bytes are parsed before the checksum that follows them is compared: if that does not match, the archive is damaged,
/// whatever the parser found.
void Decoder::explain(const Error& error) const {
  if (error.code() == Errc::damaged || error.code() == Errc::io) {
    return;
  }
  if (context_.read_on && error.code() != Errc::truncated) {
    context_.read_on();
  }
  if (main_.hashing() && context_.trailer != nullptr) {  // a detour that failed is gone
    const Trailer& trailer = *context_.trailer;
    SegmentCheck(main_.source(), main_.start(), *context_.directory, trailer).ensure(0, trailer.total_length);
  }
}

void Decoder::finish() {
  read_parts();
  if (context_.trailer != nullptr) {
    pass_tail();
  } else {
    read_tail();
  }
}

void Decoder::read_tail() {
  const std::uint64_t directory_at = in_->position();
  tail_bytes_ = frozen::trailer_bytes;
  const std::vector<std::byte> item = capture();
  directory_ = decode_directory(item, directory_at);
  tail_bytes_ = frozen::trailer_bytes - 1;  // the byte that was peeked at may be the trailer's first
  prepare();                                // skips the padding
  tail_bytes_ = 0;
  const std::uint64_t structure = in_->structure_checksum();
  const std::uint64_t trailer_at = in_->position();
  std::array<std::byte, frozen::trailer_bytes> bytes;
  std::memcpy(bytes.data(), in_->need(bytes.size()), bytes.size());
  in_->advance(bytes.size());
  trailer_ = decode_trailer(bytes, trailer_at);
  if (trailer_.directory_offset != directory_at || trailer_.directory_length != item.size()) {
    fail(Errc::damaged, "the trailer names another place for the directory", {{}, trailer_at});
  }
  if (context_.verify != Verify::none && xxh3_64(item) != trailer_.directory_checksum) {
    fail(Errc::damaged, "the checksum of the directory does not match", {{}, directory_at});
  }
  check_tail(structure);
}

/// Passes over a known directory and trailer so that they are hashed.
void Decoder::pass_tail() {
  if (in_->position() != trailer().directory_offset) {
    fail(Errc::damaged, "the trailer names another place for the directory", {{}, in_->position()});
  }
  in_->skip(trailer().directory_length);
  prepare();  // skips the padding
  const std::uint64_t structure = in_->structure_checksum();
  if (in_->position() != trailer().total_length - frozen::trailer_bytes) {
    fail(Errc::damaged, "other bytes than padding follow the directory", {{}, in_->position()});
  }
  in_->skip(frozen::trailer_bytes);
  check_tail(structure);
}

void Decoder::check_tail(std::uint64_t structure) {
  const std::uint64_t directory_at = trailer().directory_offset;
  if (in_->hashing() && structure != trailer().structure_checksum) {
    fail(Errc::damaged, "a checksum does not match: the bytes between the arrays have changed", {{}, directory_at});
  }
  const std::vector<ArrayEntry>& arrays = directory().arrays;
  const auto same_place = [](const Seen& seen, const ArrayEntry& entry) {
    return seen.offset == entry.offset && seen.length == entry.length;
  };
  if (!std::equal(seen_.begin(), seen_.end(), arrays.begin(), arrays.end(), same_place)) {
    fail(Errc::damaged, "the directory lists other arrays than the archive has", {{}, directory_at});
  }
  // Other writers need not list arrays in pieces.
  auto seen = seen_pieces_.begin();
  for (const PiecesEntry& entry : directory().pieces) {
    seen =
        std::find_if(seen, seen_pieces_.end(), [&](const SeenPieces& pieces) { return pieces.begin == entry.begin; });
    if (seen == seen_pieces_.end() || seen->sizes_checksum != xxh3_64(std::as_bytes(std::span(entry.sizes)))) {
      fail(Errc::damaged, "the directory lists other pieces than the array has", {entry.path, directory_at});
    }
  }
  for (std::size_t i = 0; i < seen_.size(); ++i) {
    if (seen_[i].hashed) {
      arrays[i].check(seen_[i].checksum, seen_[i].in_one, {});
    }
  }
}

// --- Heads -----------------------------------------------------------------------------------------------------------

std::uint64_t Decoder::bytes_to_come() const noexcept {
  std::uint64_t bytes = tail_bytes_;
  for (std::size_t i = 0; i < depth_; ++i) {
    const Frame& frame = frames_[i];
    bytes +=
        frame.indefinite ? 1 : std::min<std::uint64_t>(frame.remaining, 1 << 20) * (frame.form == Form::map ? 2 : 1);
  }
  return bytes;
}

void Decoder::prepare_tags() {
  while (at_tag()) {
    std::size_t size = 0;
    const Head head = peek_head(size);
    const std::uint64_t tag = head.value;
    if (head.indefinite()) {
      error(Errc::malformed, "a tag of indefinite length");
    }
    if (tag == frozen::tag_no_op) {
      in_->advance(size);
      continue;
    }
    if (tag == frozen::tag_shareable) {
      pending_shared_.push_back(new_shared(in_->position()));
    } else if (tag == frozen::tag_deferred_values) {
      error(Errc::malformed, "deferred values in the place of a value");
    } else if (tag == frozen::tag_shared_reference || tag == frozen::tag_deferred ||
               tag == frozen::tag_generic_object || tag == frozen::tag_record_definition ||
               (tag >= frozen::tag_record_first && tag <= frozen::tag_record_last) || is_array_tag(tag) ||
               tag == frozen::tag_array_view) {
      return;
    }
    in_->advance(size);  // tags that do not affect the form of the value
  }
}

bool Decoder::next_is_tag(std::uint64_t tag) {
  std::size_t size = 0;
  return at_tag() && peek_head(size).value == tag;
}

bool Decoder::take_tagged() {
  if (listed_) {
    item_at_ = listed_->data_offset;
    mismatch("another value");
  }
  pass_type_names();
  item_at_ = in_->position();
  if (!next_is_reference()) {
    pending_shared_.clear();
    return false;
  }
  enter_shared(next_is_tag(frozen::tag_deferred) ? read_deferred().index : read_index());
  prepare();
  pending_shared_.clear();
  if (next_is_reference()) {
    error(Errc::malformed, "a reference to a reference");
  }
  return true;
}

Head Decoder::expect(Major major, const char* wanted) {
  std::size_t size = 0;
  const Head head = peek_head(size);
  if (head.major != major) {
    mismatch(wanted);
  }
  in_->advance(size);
  return head;
}

void Decoder::mismatch(const char* wanted) {
  error(Errc::type_mismatch, std::string("expected ") + wanted + ", found " + found_text());
}

std::string Decoder::found_text() {
  if (listed_) {
    return listed_->header.dtype.name() + listed_->header.shape.text();
  }
  prepare();
  if (next_is_reference()) {
    return "a reference";
  }
  switch (kind()) {
    case Kind::array:
      if (!next_is_tag(frozen::tag_array_view)) {
        const ArrayItem item = read_array_header();
        return item.header.dtype.name() + item.header.shape.text();
      }
      return "an array";
    case Kind::integer:
    case Kind::real: {
      const Number number = read_number();
      switch (number.type) {
        case Number::Type::natural:
          return "the integer " + std::to_string(number.bits);
        case Number::Type::negative:
          return "a negative integer";
        case Number::Type::float16:
          return "a float16";
        case Number::Type::float32:
          return "a float32";
        default:
          return "a float64";
      }
    }
    case Kind::sequence:
      return "a sequence";
    case Kind::map:
      return "a map";
    case Kind::record:
      return "a record";
    case Kind::text:
      return "text";
    case Kind::bytes:
      return "bytes";
    case Kind::boolean:
      return "a boolean";
    default:
      return "null";
  }
}

void Decoder::begin_listed(const ArrayEntry& entry) {
  ArrayItem item;
  item.header = {entry.dtype, entry.shape, entry.order};
  item.stored_bytes = item.bytes = entry.length;
  item.data_offset = entry.offset;
  if (checked_multiply(entry.shape.count(), entry.dtype.item_size()) != entry.length) {
    error(Errc::damaged, "the directory contradicts the array's shape");
  }
  listed_ = item;
}

Kind Decoder::kind() {
  if (items_ != nullptr) {
    return items_->kind();
  }
  if (listed_) {
    return Kind::array;
  }
  if (at_key() && frames_[depth_ - 1].names != nullptr) {
    return Kind::text;
  }
  prepare();
  item_at_ = in_->position();
  std::size_t size = 0;
  const Head head = peek_head(size);
  switch (head.major) {
    case Major::natural:
    case Major::negative:
      if (head.indefinite()) {
        error(Errc::malformed, "a number of indefinite length");
      }
      return Kind::integer;
    case Major::bytes:
      return Kind::bytes;
    case Major::text:
      return Kind::text;
    case Major::array:
      return Kind::sequence;
    case Major::map:
      return Kind::map;
    case Major::tag:
      break;
    case Major::simple:
      switch (head.info) {
        case 20:
        case 21:
          return Kind::boolean;
        case 22:
        case 23:
          return Kind::null;
        case cbor::info_16:
        case cbor::info_32:
        case cbor::info_64:
          return Kind::real;
        default:
          error(Errc::malformed,
                head.indefinite() ? "a break outside of a container" : "a simple value without meaning");
      }
  }
  if (head.value == frozen::tag_generic_object) {
    return Kind::sequence;
  }
  if (head.value == frozen::tag_record_definition ||
      (head.value >= frozen::tag_record_first && head.value <= frozen::tag_record_last)) {
    return Kind::record;
  }
  const bool deferred = head.value == frozen::tag_deferred;
  if (head.value != frozen::tag_shared_reference && !deferred) {
    return Kind::array;
  }
  // A reference: returns the kind of its target.
  const std::uint64_t index = deferred ? peek_deferred() : peek_index(size);
  if (shared_arrays_.contains(index)) {
    return Kind::array;
  }
  if (!main_.source().random_access() && shared_objects_.contains(index)) {
    return Kind::record;  // it cannot be looked up again; a shared_ptr will take it
  }
  enter_shared(index);
  prepare();
  if (next_is_reference()) {
    error(Errc::malformed, "a reference to a reference");
  }
  const Kind kind_there = kind();
  leave_shared();
  return kind_there;
}

// --- Scalars ---------------------------------------------------------------------------------------------------------

void Decoder::null() {
  if (items_ != nullptr) {
    return items_->null();
  }
  const bool followed = take();
  const std::byte b = in_->peek();
  if (b != cbor::null_byte && b != cbor::undefined_byte) {
    mismatch("null");
  }
  in_->advance(1);
  done(followed);
}

bool Decoder::boolean() {
  if (items_ != nullptr) {
    return items_->boolean();
  }
  const bool followed = take();
  const std::byte b = in_->peek();
  if (b != cbor::true_byte && b != cbor::false_byte) {
    mismatch("a boolean");
  }
  in_->advance(1);
  done(followed);
  return b == cbor::true_byte;
}

Number Decoder::read_number() {
  std::size_t size = 0;
  const Head head = peek_head(size);
  if (head.indefinite() && (head.major == Major::natural || head.major == Major::negative)) {
    error(Errc::malformed, "a number of indefinite length");
  }
  Number number{Number::Type::natural, head.value};
  if (head.major == Major::negative) {
    number.type = Number::Type::negative;
  } else if (head.major == Major::simple && head.info == cbor::info_64) {
    number.type = Number::Type::float64;
  } else if (head.major == Major::simple && head.info == cbor::info_32) {
    number.type = Number::Type::float32;
  } else if (head.major == Major::simple && head.info == cbor::info_16) {
    number.type = Number::Type::float16;
  } else if (head.major != Major::natural) {
    mismatch("a number");
  }
  in_->advance(size);
  return number;
}

Number Decoder::number() {
  if (items_ != nullptr) {
    return items_->number();
  }
  const bool followed = take();
  const Number number = read_number();
  if (at_key()) {
    note_key(number);
  }
  done(followed);
  return number;
}

void Decoder::text(std::string& out) {
  if (items_ != nullptr) {
    return items_->text(out);
  }
  if (at_key() && frames_[depth_ - 1].names != nullptr) {
    Frame& frame = frames_[depth_ - 1];
    out = (*frame.names)[static_cast<std::size_t>(frame.index - 1)];
    note_key(out);
    return;
  }
  const bool followed = take();
  std::size_t size = 0;
  const Head head = peek_head(size);
  if (head.major != Major::text && head.major != Major::bytes) {
    mismatch("text");
  }
  in_->advance(size);
  read_text(head, out);
  if (at_key()) {
    note_key(out);
  }
  done(followed);
}

void Decoder::read_text(const Head& head, std::string& out) {
  constexpr std::uint64_t step = std::uint64_t{1} << 20;
  if (!head.indefinite()) {
    const Bytes here = in_->available();
    if (head.value <= here.size() && head.value <= in_->options().limits.allocation) {
      out.assign(reinterpret_cast<const char*>(here.data()), static_cast<std::size_t>(head.value));
      in_->advance(static_cast<std::size_t>(head.value));
      return;
    }
  }
  out.clear();
  const auto append = [&](std::uint64_t left) {
    check_allocation(out.size(), left);
    const bool sure = in_->surely_holds(left);
    while (left > 0) {
      const auto piece =
          static_cast<std::size_t>(sure ? left : std::min(left, std::max<std::uint64_t>(step, out.size())));
      const std::size_t before = out.size();
      out.resize(before + piece);
      in_->read(std::as_writable_bytes(std::span(out)).subspan(before));
      left -= piece;
    }
  };
  if (!head.indefinite()) {
    append(head.value);
    return;
  }
  while (in_->peek() != cbor::break_byte) {
    const Head chunk = in_->head();
    if (chunk.major != head.major || chunk.indefinite()) {
      error(Errc::malformed, "a string of indefinite length holds something else than strings");
    }
    append(chunk.value);
  }
  in_->advance(1);
}

void Decoder::check_allocation(std::uint64_t have, std::uint64_t more) {
  if (!in_->may_hold(more)) {
    error(Errc::truncated, "a length of " + std::to_string(more) + " bytes goes beyond the end of the input");
  }
  const std::uint64_t limit = in_->options().limits.allocation;
  if (more > limit || have > limit - more) {
    error(Errc::limit_exceeded,
          "a length of " + std::to_string(more) + " bytes is beyond the allocation limit of " + std::to_string(limit));
  }
}

// --- Types -----------------------------------------------------------------------------------------------------------

std::optional<std::string> Decoder::begin_typed() {
  if (items_ != nullptr) {
    return items_->begin_typed();
  }
  if (!listed_) {
    prepare();
  }
  if (listed_ || !next_is_tag(frozen::tag_generic_object)) {
    return std::nullopt;
  }
  item_at_ = in_->position();
  in_->head();
  const Head head = in_->head();
  if (head.major != Major::array || head.indefinite() || head.value != 2) {
    error(Errc::malformed, "a typed object is an array of its type's name and its value");
  }
  std::string name;
  text(name);
  return name;
}

void Decoder::end_typed() {}

/// For what reads a value without knowing of types: the names before it have no meaning.
void Decoder::pass_type_names() {
  constexpr int most = 100;
  prepare();
  for (int names = 0; next_is_tag(frozen::tag_generic_object); ++names) {
    if (names == most) {
      error(Errc::limit_exceeded, "a value with more than 100 names of types");
    }
    begin_typed();
    prepare();
  }
}

// --- Messages --------------------------------------------------------------------------------------------------------

void Decoder::raise(Errc code, std::string message) {
  const std::string where = path();
  fail(code, std::move(message), {where, item_at_, context_.file});
}

std::uint64_t Decoder::position() {
  prepare();
  return in_->position();
}

std::string Decoder::path() const {
  std::string text = context_.path;
  for (std::size_t i = 0; i < depth_; ++i) {
    const Frame& frame = frames_[i];
    if (frame.index == 0) {
      break;
    }
    switch (frame.form) {
      case Form::sequence:
        append_step(text, std::to_string(frame.index - 1));
        break;
      case Form::map:
        if (frame.by_place) {
          append_place(text, frame.index - 1);
        } else {
          append_step(text, frame.key_form == Frame::Key::text ? frame.key : number_text(frame.number));
        }
        break;
      case Form::deferred:
        text = deferred_path(frame.index - 1);
        break;
      case Form::record_map:
        append_step(text, frame.key);
        break;
      case Form::record_tuple:
        append_step(text, (*frame.names)[static_cast<std::size_t>(frame.index - 1)]);
    }
  }
  return text;
}

}  // namespace stele

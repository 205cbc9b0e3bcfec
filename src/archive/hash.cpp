#include "stele/hash.hpp"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "archive/shared_table.hpp"
#include "base/bits.hpp"
#include "base/bytes.hpp"
#include "base/checksum.hpp"
#include "base/stack.hpp"
#include "format/array/typed.hpp"
#include "format/text/utf8.hpp"

namespace stele {
namespace {

constexpr std::string_view algorithm = "xxh3-128:";
constexpr std::size_t buffer_bytes = std::size_t{64} << 10;  // larger input is hashed piece by piece
constexpr std::size_t gather_bytes = std::size_t{256} << 10;
constexpr std::size_t max_layouts = 16;

enum class Tag : std::uint8_t {
  null = 0x00,
  boolean_false = 0x01,
  boolean_true = 0x02,
  natural = 0x03,
  negative = 0x04,
  float16 = 0x05,
  float32 = 0x06,
  float64 = 0x07,
  text = 0x08,
  bytes = 0x09,
  array = 0x0a,
  sequence = 0x0b,
  unordered_sequence = 0x0c,
  map = 0x0d,
  unordered_map = 0x0e,
  record = 0x0f,
  typed = 0x10,
  shared = 0x11,
  back_reference = 0x12,
};

/// The frozen number of a dtype.
std::uint8_t dtype_code(DType::Kind kind) {
  using K = DType::Kind;
  switch (kind) {
    case K::boolean:
      return 0x01;
    case K::int8:
      return 0x02;
    case K::int16:
      return 0x03;
    case K::int32:
      return 0x04;
    case K::int64:
      return 0x05;
    case K::uint8:
      return 0x06;
    case K::uint16:
      return 0x07;
    case K::uint32:
      return 0x08;
    case K::uint64:
      return 0x09;
    case K::float16:
      return 0x0a;
    case K::bfloat16:
      return 0x0b;
    case K::float32:
      return 0x0c;
    case K::float64:
      return 0x0d;
    case K::complex64:
      return 0x0e;
    case K::complex128:
      return 0x0f;
    case K::float8_e4m3fn:
      return 0x10;
    case K::float8_e5m2:
      return 0x11;
    case K::bytes:
      return 0x12;
    case K::utf32:
      return 0x13;
    case K::record:
      return 0x14;
    case K::duration:
      return 0x15;
    case K::time_point:
      return 0x16;
    case K::none:
      break;
  }
  fail(Errc::invalid_argument, "an array without an element type cannot be hashed");
}

/// The number of bytes of an element that are hashed.
std::size_t packed_size(const DType& dtype) {
  if (!dtype.is_record()) {
    return dtype.item_size();
  }
  std::size_t size = 0;
  for (const DType::Field& field : dtype.fields()) {
    size += field.count * packed_size(field.type);
  }
  return size;
}

/// Whether an element is its fields without gaps, so that its bytes can be hashed in place.
bool is_packed(const DType& dtype) {
  std::size_t at = 0;
  for (const DType::Field& field : dtype.fields()) {
    if (field.offset != at || !is_packed(field.type)) {
      return false;
    }
    at += field.count * field.type.item_size();
  }
  return !dtype.is_record() || at == dtype.item_size();
}

/// Copies the bytes that are hashed; returns the end.
std::byte* pack(const DType& dtype, const std::byte* from, std::byte* to) {
  if (!dtype.is_record()) {
    std::memcpy(to, from, dtype.item_size());
    return to + dtype.item_size();
  }
  for (const DType::Field& field : dtype.fields()) {
    for (std::size_t i = 0; i < field.count; ++i) {
      to = pack(field.type, from + field.offset + i * field.type.item_size(), to);
    }
  }
  return to;
}

Hash128 element_hash(const ArrayView& view, Order order) {
  const bool packed = is_packed(view.dtype);
  const std::uint64_t size = view.dtype.item_size();
  const std::uint64_t count = view.shape.count();
  if (size == 0 || count == 0) {
    return xxh3_128({});
  }
  if (packed && view.is_dense(order)) {
    return xxh3_128(Bytes(view.data, static_cast<std::size_t>(view.byte_count())));
  }
  Xxh3 state(Xxh3::Width::bits128);
  const std::uint64_t per_piece = std::min(count, std::max<std::uint64_t>(1, gather_bytes / size));
  std::vector<std::byte> gathered(static_cast<std::size_t>(per_piece * size));
  std::vector<std::byte> fields(packed ? 0 : static_cast<std::size_t>(per_piece) * packed_size(view.dtype));
  for (std::uint64_t first = 0; first < count; first += per_piece) {
    const std::uint64_t n = std::min(per_piece, count - first);
    gather(view, order, first, n, gathered.data());
    if (packed) {
      state.update(std::span(gathered).first(static_cast<std::size_t>(n * size)));
      continue;
    }
    std::byte* end = fields.data();
    for (std::uint64_t i = 0; i < n; ++i) {
      end = pack(view.dtype, gathered.data() + i * size, end);
    }
    state.update(Bytes(fields.data(), end));
  }
  return state.digest128();
}

Digest to_digest(const Hash128& hash) {
  Digest digest;
  store_be<std::uint64_t>(digest.bytes.data(), hash.high);
  store_be<std::uint64_t>(digest.bytes.data() + 8, hash.low);
  return digest;
}

}  // namespace

// --- Digest ----------------------------------------------------------------------------------------------------------

std::string Digest::text() const {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text(algorithm);
  for (const std::byte b : bytes) {
    text += digits[std::to_integer<unsigned>(b) >> 4];
    text += digits[std::to_integer<unsigned>(b) & 15];
  }
  return text;
}

Digest Digest::parse(std::string_view text) {
  const auto digit = [](char c) -> std::optional<unsigned> {
    if (c >= '0' && c <= '9') {
      return static_cast<unsigned>(c - '0');
    }
    if (c >= 'a' && c <= 'f') {
      return static_cast<unsigned>(c - 'a') + 10;
    }
    return std::nullopt;
  };
  Digest digest;
  bool valid = text.starts_with(algorithm) && text.size() == algorithm.size() + 2 * digest.bytes.size();
  for (std::size_t i = 0; valid && i < digest.bytes.size(); ++i) {
    const auto high = digit(text[algorithm.size() + 2 * i]);
    const auto low = digit(text[algorithm.size() + 2 * i + 1]);
    valid = high && low;
    digest.bytes[i] = static_cast<std::byte>(valid ? *high << 4 | *low : 0);
  }
  if (!valid) {
    fail(Errc::invalid_argument,
         "not a digest: \"" + std::string(text.substr(0, 64)) + "\"; a digest is xxh3-128: and 32 hexadecimal digits");
  }
  return digest;
}

// --- The visitor -----------------------------------------------------------------------------------------------------

/// Writes the bytes defined in the table of hash.hpp to a buffer. A scope is a part that is hashed separately. Ordered
/// containers only count their depth in the innermost scope.
class Hasher::Visitor final : public OutVisitor {
 public:
  explicit Visitor(const HashOptions& options) : ignore_order_(options.ignore_order), deepest_(options.limits.depth) {
    types_ = options.types;
    scopes_.emplace_back();
  }

  void null() override {
    put(Tag::null);
    complete();
  }
  void boolean(bool value) override {
    put(value ? Tag::boolean_true : Tag::boolean_false);
    complete();
  }
  void integer(std::int64_t value) override {
    if (value < 0) {
      number(Tag::negative, ~static_cast<std::uint64_t>(value));
    } else {
      number(Tag::natural, static_cast<std::uint64_t>(value));
    }
  }
  void natural(std::uint64_t value) override { number(Tag::natural, value); }
  void real(float16 value) override { number(Tag::float16, value.bits); }
  void real(float value) override { number(Tag::float32, std::bit_cast<std::uint32_t>(value)); }
  void real(double value) override { number(Tag::float64, std::bit_cast<std::uint64_t>(value)); }
  void text(std::string_view value) override {
    put(is_utf8(value) ? Tag::text : Tag::bytes);
    put_text(value);
    complete();
  }
  void bytes(Bytes value) override {
    put(Tag::bytes);
    put_number(std::uint64_t{value.size()});
    put_bytes(value);
    complete();
  }

  void array(const ArrayView& value) override {
    const bool columns = !ignore_order_ && stored_order(value) == Order::column_major;
    put(Tag::array);
    put_dtype(value.dtype);
    put_number(static_cast<std::uint8_t>(columns ? 1 : 0));
    put_number(static_cast<std::uint8_t>(value.shape.rank()));
    for (const std::uint64_t extent : value.shape) {
      put_number(extent);
    }
    put_hash(element_hash(value, columns ? Order::column_major : Order::row_major));
    complete();
  }

  void bits(Bytes packed, std::uint64_t count) override {
    put(Tag::array);
    put_dtype(DType::Kind::boolean);
    put_number(std::uint8_t{0});
    put_number(std::uint8_t{1});
    put_number(count);
    Xxh3 state(Xxh3::Width::bits128);
    for_each_unpacked(packed, count, [&](Bytes piece) { state.update(piece); });
    put_hash(state.digest128());
    complete();
  }

  void begin_sequence(std::uint64_t count, Ordering ordering) override {
    begin_items(ordering == Ordering::ordered ? Tag::sequence : Tag::unordered_sequence, count, ordering, 1);
  }
  void begin_map(std::uint64_t count, Ordering ordering) override {
    begin_items(ordering == Ordering::ordered ? Tag::map : Tag::unordered_map, count, ordering, 2);
  }
  void begin_record(const RecordInfo& info) override {
    put(Tag::record);
    put_hash(layout_hash(info));
    require_depth();
    ++scopes_.back().depth;
    ++depth_;
  }
  void end() override {
    Scope& scope = scopes_.back();
    if (scope.depth > 0) {
      --scope.depth;
    } else {
      if (scope.form != Form::unordered || scope.values != 0) {
        fail(Errc::invalid_argument, "end() of a container that was not begun");
      }
      const Hash128 sum = scope.sum;
      scopes_.pop_back();
      put_hash(sum);
    }
    --depth_;
    complete();
  }

  bool begin_shared(const SharedOut& object) override {
    const SharedTable::Met met = known_.meet(object);
    if (met.value == nullptr) {
      fail(Errc::invalid_argument, SharedTable::problem(met.what));
    }
    if (met.is_first()) {
      *met.value = shared_.size();
      shared_.emplace_back();
    }
    const std::uint64_t index = *met.value;
    const Shared& shared = shared_[static_cast<std::size_t>(index)];
    if (shared.state == Shared::State::fresh) {
      if (!segments_.empty() && stack_left() < segments_.back().least_stack) {
        throw Postponed{object.later(), object.owner(), index};
      }
      open(index);
      return true;
    }
    if (shared.state == Shared::State::open) {
      number(Tag::back_reference, open_.size() - 1 - shared.level);
    } else {
      put(Tag::shared);
      put_hash(shared.hash);
      complete();
    }
    return false;
  }
  void begin_typed(std::string_view name) override {
    put(Tag::typed);
    put_text(name);
  }

  Hash128 finish() {
    Scope& root = scopes_.front();
    if (scopes_.size() != 1 || root.depth != 0) {
      fail(Errc::invalid_argument, "the digest of a value that is not complete");
    }
    if (root.state != nullptr) {
      flush();
      return root.state->digest128();
    }
    return xxh3_128(Bytes(buffer_.get(), size_));
  }

 private:
  enum class Form : std::uint8_t { root, unordered, shared };

  struct Shared {
    enum class State : std::uint8_t { fresh, open, closed } state = State::fresh;
    std::uint64_t level = 0;  // open: the number of shared objects around it
    std::size_t depth = 0;    // open: the number of containers around it
    Hash128 hash;             // valid once closed
  };
  /// Bytes that are hashed separately: the whole value, an item of an unordered container, or a shared object.
  struct Scope {
    Form form = Form::root;
    std::uint8_t per_item = 1;    // unordered: values per item
    std::uint8_t values = 0;      // unordered: values of the current item so far
    bool flushed = false;         // bytes before `start` are in `state`
    std::size_t start = 0;        // offset in the buffer
    std::uint64_t depth = 0;      // ordered containers open in it
    std::unique_ptr<Xxh3> state;  // set once there are too many bytes for the buffer
    Hash128 sum;                  // unordered
    std::uint64_t shared = 0;     // index in shared_
  };

  struct Layout {
    const void* type_id;
    std::uint32_t version;
    std::vector<std::string> names;
    Hash128 hash;
  };

  // --- Depth ---
  //
  // The digest of an object is needed before the digest of the object that points to it, but the walk visits them in
  // the opposite order. When the stack runs short, the walk is aborted. The object it had reached is then hashed
  // separately; everything open around it stays open. Then the aborted walk starts again and finds that object's
  // digest. The digests do not depend on where a walk is aborted.

  /// Thrown to abort a walk.
  struct Postponed {
    SharedOut::Later later;
    std::weak_ptr<const void> owner;
    std::uint64_t index;
  };
  static constexpr std::uintptr_t least_stack = std::uintptr_t{64} << 10;  // a walk is aborted when less is left
  /// A walk that may be aborted, and where it began.
  struct Segment {
    SharedOut::Later value;
    std::weak_ptr<const void> owner;  // objects only
    std::uint64_t index = 0;          // objects only: index in shared_
    bool is_object = false;
    std::size_t scopes = 0;
    std::size_t open = 0;
    std::size_t depth = 0;
    std::uintptr_t least_stack = 0;
    // in the innermost scope
    std::uint64_t scope_depth = 0;
    std::uint8_t values = 0;
    bool flushed = false;
    Hash128 sum;
    std::unique_ptr<Xxh3> state;
    std::vector<std::byte> bytes;  // those that are not in `state`
  };

  void begin_segment(SharedOut::Later value) {
    Segment& segment = segments_.emplace_back();
    segment.value = std::move(value);
    segment.scopes = scopes_.size();
    segment.open = open_.size();
    segment.depth = depth_;
    segment.least_stack = std::max(stack_left() / 4, least_stack);
    const Scope& scope = scopes_.back();
    if (size_ > scope.start) {
      segment.bytes.assign(buffer_.get() + scope.start, buffer_.get() + size_);
    }
    segment.scope_depth = scope.depth;
    segment.values = scope.values;
    segment.flushed = scope.flushed;
    segment.sum = scope.sum;
    if (scope.state != nullptr) {
      segment.state = std::make_unique<Xxh3>(Xxh3::Width::bits128);
      segment.state->copy(*scope.state);
    }
  }
  /// Restores the state at the beginning of the innermost segment; objects opened since count as not met.
  void rewind() {
    const Segment& segment = segments_.back();
    while (open_.size() > segment.open) {
      shared_[static_cast<std::size_t>(open_.back())].state = Shared::State::fresh;
      open_.pop_back();
    }
    scopes_.resize(segment.scopes);
    restore(segment);
  }
  void restore(const Segment& segment) {
    Scope& scope = scopes_.back();
    size_ = scope.start;
    put_plain(segment.bytes);
    depth_ = segment.depth;
    scope.depth = segment.scope_depth;
    scope.values = segment.values;
    scope.flushed = segment.flushed;
    scope.sum = segment.sum;
    if (segment.state != nullptr) {
      scope.state->copy(*segment.state);
    } else if (scope.state != nullptr) {
      scope.state->reset();
    }
  }
  void put_plain(std::span<const std::byte> bytes) {
    if (!bytes.empty()) {
      std::memcpy(buffer_.get() + size_, bytes.data(), bytes.size());  // they fitted before
      size_ += bytes.size();
    }
  }
  void open(std::uint64_t index) {
    Shared& shared = shared_[static_cast<std::size_t>(index)];
    shared.state = Shared::State::open;
    shared.level = open_.size();
    shared.depth = std::exchange(depth_, 0);
    open_.push_back(index);
    push(Form::shared).shared = index;
  }

 public:
  void add(void (*write)(OutVisitor& out, const void* value), const void* value) {
    const std::size_t outer = segments_.size();
    begin_segment({std::shared_ptr<const void>(std::shared_ptr<const void>(), value), write});
    try {
      while (segments_.size() > outer) {
        step();
      }
    } catch (...) {
      segments_.resize(outer);
      throw;
    }
  }

 private:
  /// Walks the value of the innermost segment once.
  void step() {
    try {
      if (segments_.back().is_object) {
        open(segments_.back().index);
      }
      const SharedOut::Later value = segments_.back().value;
      value.write(*this, value.value.get());
    } catch (const Postponed& postponed) {
      Segment& broken = segments_.back();
      broken.least_stack = std::max(broken.least_stack - broken.least_stack / 8, least_stack);  // go deeper next time
      // Drops scopes and bytes. Objects that are open around this one stay open for back references.
      scopes_.resize(broken.scopes);
      restore(broken);
      begin_segment(postponed.later);
      segments_.back().is_object = true;
      segments_.back().index = postponed.index;
      segments_.back().owner = postponed.owner;
      return;
    }
    const bool is_object = segments_.back().is_object;
    const std::weak_ptr<const void> owner = segments_.back().owner;
    segments_.pop_back();
    if (is_object) {
      if (owner.expired()) {
        fail(Errc::limit_exceeded,
             "objects that are created during hashing point to each other too deeply for the stack");
      }
      rewind();
    }
  }

  void require_depth() {
    if (depth_ >= deepest_) {
      fail(Errc::limit_exceeded,
           "values are nested more than " + std::to_string(depth_) + " deep; HashOptions::limits.depth allows more");
    }
    if (stack_is_low()) {
      fail(Errc::limit_exceeded,
           "values are nested " + std::to_string(depth_) + " deep, and the stack of this thread has no room for more");
    }
  }

  // --- Structure ---

  Scope& push(Form form) {
    Scope& scope = scopes_.emplace_back();
    scope.form = form;
    scope.start = size_;
    return scope;
  }
  void begin_items(Tag tag, std::uint64_t count, Ordering ordering, std::uint8_t per_item) {
    put(tag);
    put_number(count);
    require_depth();
    ++depth_;
    if (ordering == Ordering::ordered) {
      ++scopes_.back().depth;
    } else {
      push(Form::unordered).per_item = per_item;
    }
  }

  /// Called after every value.
  void complete() {
    if (scopes_.back().depth == 0 && scopes_.size() > 1) {
      complete_scope();
    }
  }
  void complete_scope() {
    while (scopes_.back().form == Form::shared && scopes_.back().depth == 0) {
      Shared& shared = shared_[static_cast<std::size_t>(scopes_.back().shared)];
      shared.hash = take_hash();
      shared.state = Shared::State::closed;
      depth_ = shared.depth;
      open_.pop_back();
      scopes_.pop_back();
      if (!segments_.empty() && segments_.back().scopes == scopes_.size() && segments_.back().is_object) {
        return;  // the object that points to it is hashed again
      }
      put(Tag::shared);
      put_hash(shared.hash);
    }
    Scope& scope = scopes_.back();
    if (scope.form == Form::unordered && scope.depth == 0 && ++scope.values == scope.per_item) {
      scope.values = 0;
      const Hash128 item = take_hash();
      scope.sum.low += item.low;
      scope.sum.high += item.high + (scope.sum.low < item.low ? 1 : 0);
    }
  }
  /// The hash of the innermost scope, which is empty afterwards.
  Hash128 take_hash() {
    Scope& scope = scopes_.back();
    Hash128 hash;
    if (scope.flushed) {
      flush();
      hash = scope.state->digest128();
      scope.state->reset();
      scope.flushed = false;
    } else {
      hash = xxh3_128(Bytes(buffer_.get() + scope.start, size_ - scope.start));
    }
    size_ = scope.start;
    return hash;
  }

  const Hash128& layout_hash(const RecordInfo& info) {
    const auto found = std::find_if(layouts_.begin(), layouts_.end(), [&](const Layout& layout) {
      if (info.type_id != nullptr && layout.type_id == info.type_id && layout.version == info.version) {
        return true;
      }
      return layout.version == info.version &&
             std::equal(layout.names.begin(), layout.names.end(), info.names.begin(), info.names.end());
    });
    if (found != layouts_.end()) {
      return found->hash;
    }
    std::vector<std::byte> bytes(12);
    store_le<std::uint32_t>(bytes.data(), info.version);
    store_le<std::uint64_t>(bytes.data() + 4, info.names.size());
    for (const std::string_view name : info.names) {
      const std::size_t at = bytes.size();
      bytes.resize(at + 8 + name.size());
      store_le<std::uint64_t>(bytes.data() + at, name.size());
      std::copy_n(std::as_bytes(std::span(name)).data(), name.size(), bytes.data() + at + 8);
    }
    Layout layout{info.type_id, info.version, {info.names.begin(), info.names.end()}, xxh3_128(bytes)};
    if (layouts_.size() < max_layouts) {
      return layouts_.emplace_back(std::move(layout)).hash;
    }
    next_layout_ = (next_layout_ + 1) % max_layouts;
    return (layouts_[next_layout_] = std::move(layout)).hash;
  }

  // --- Bytes ---

  void flush() {
    Scope& scope = scopes_.back();
    if (scope.state == nullptr) {
      scope.state = std::make_unique<Xxh3>(Xxh3::Width::bits128);
    }
    scope.state->update(Bytes(buffer_.get() + scope.start, size_ - scope.start));
    scope.flushed = true;
    size_ = scope.start;
  }
  std::byte* room(std::size_t bytes) {
    if (capacity_ - size_ < bytes) {
      grow(bytes);
    }
    return buffer_.get() + size_;
  }
  void grow(std::size_t bytes) {
    if (capacity_ >= buffer_bytes) {
      flush();
      if (capacity_ - size_ >= bytes) {
        return;
      }
    }
    const std::size_t larger = std::max({2 * capacity_, size_ + bytes, std::size_t{1024}});
    std::unique_ptr<std::byte[]> moved(new std::byte[larger]);
    if (size_ > 0) {
      std::memcpy(moved.get(), buffer_.get(), size_);
    }
    buffer_ = std::move(moved);
    capacity_ = larger;
  }

  void put(Tag tag) {
    *room(1) = static_cast<std::byte>(tag);
    ++size_;
  }
  template <class N>
  void put_number(N value) {
    store_le<N>(room(sizeof(N)), value);
    size_ += sizeof(N);
  }
  template <class N>
  void number(Tag tag, N value) {
    std::byte* at = room(1 + sizeof(N));
    *at = static_cast<std::byte>(tag);
    store_le<N>(at + 1, value);
    size_ += 1 + sizeof(N);
    complete();
  }
  void put_hash(const Hash128& hash) {
    std::byte* at = room(16);
    store_be<std::uint64_t>(at, hash.high);
    store_be<std::uint64_t>(at + 8, hash.low);
    size_ += 16;
  }
  void put_bytes(Bytes bytes) {
    if (bytes.size() > buffer_bytes / 4) {
      flush();
      scopes_.back().state->update(bytes);
    } else if (!bytes.empty()) {
      std::memcpy(room(bytes.size()), bytes.data(), bytes.size());
      size_ += bytes.size();
    }
  }
  void put_text(std::string_view text) {
    put_number(std::uint64_t{text.size()});
    put_bytes(std::as_bytes(std::span(text)));
  }
  void put_dtype(const DType& dtype) {
    put_number(dtype_code(dtype.kind()));
    if (dtype.kind() == DType::Kind::bytes || dtype.kind() == DType::Kind::utf32) {
      put_number(static_cast<std::uint32_t>(dtype.item_size()));
    } else if (dtype.is_time()) {
      put_number(static_cast<std::uint8_t>(dtype.unit().base));
      put_number(dtype.unit().multiple);
    } else if (dtype.is_record()) {
      put_number(static_cast<std::uint32_t>(dtype.fields().size()));
      for (const DType::Field& field : dtype.fields()) {
        put_text(field.name);
        put_number(field.count);
        put_dtype(field.type);
      }
    }
  }

  bool ignore_order_;
  std::vector<Scope> scopes_;
  SharedTable known_{SharedTable::Overlap::allowed};  // values are indices in shared_
  std::vector<Shared> shared_;
  std::vector<std::uint64_t> open_;  // indices in shared_, the outermost first
  std::size_t deepest_;
  std::size_t depth_ = 0;  // containers open in the innermost shared object
  std::vector<Segment> segments_;
  std::vector<Layout> layouts_;
  std::size_t next_layout_ = 0;
  std::unique_ptr<std::byte[]> buffer_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

Hasher::Hasher(const HashOptions& options) : visitor_(std::make_unique<Visitor>(options)) {}

Hasher::~Hasher() = default;

OutVisitor& Hasher::visitor() noexcept { return *visitor_; }

void Hasher::add(void (*write)(OutVisitor& out, const void* value), const void* value) {
  try {
    visitor_->add(write, value);
  } catch (const Error& error) {
    visitor_->rethrow(error, write, value);
  }
}

Digest Hasher::digest() { return to_digest(visitor_->finish()); }

}  // namespace stele

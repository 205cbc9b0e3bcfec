// The InVisitor over a Value.

#include <algorithm>
#include <deque>
#include <typeinfo>
#include <unordered_map>

#include "archive/convert.hpp"
#include "archive/read/decoder/fields.hpp"
#include "archive/value/any_array.hpp"
#include "archive/value/later.hpp"
#include "archive/value/nodes.hpp"
#include "base/stack.hpp"
#include "base/threads/interruption.hpp"
#include "format/array/typed.hpp"
#include "format/frozen.hpp"
#include "format/path/path.hpp"

namespace stele {
namespace {

constexpr std::size_t items_between_points = 256;  // of work that may be interrupted
constexpr std::uint64_t convert_bytes = std::uint64_t{256} << 10;

class ValueReader final : public InVisitor {
 public:
  ValueReader(const Value& root, const LoadOptions& options, Handing handing)
      : root_(&root), next_(&root), anchors_(root), deepest_(options.limits.depth), handing_(handing) {
    field_rules_ = rules_of(options);
    types_ = options.types;
  }

  /// The whole tree, instead of its events.
  std::optional<Value> take_tree() const {
    const bool at_start = next_ == root_ && frames_.empty() && detours_.empty() && items_ == nullptr;
    return handing_.tree && at_start ? std::optional(*root_) : std::nullopt;
  }

  Kind kind() override {
    if (items_ != nullptr) {
      return items_->kind();
    }
    if (resolve(*next_, false).is(ValueKind::typed)) {
      return Kind::sequence;  // the name and the value
    }
    return static_cast<Kind>(peek().kind());
  }
  void null() override {
    if (items_ != nullptr) {
      return items_->null();
    }
    expect(ValueKind::null, "null");
    consumed();
  }
  bool boolean() override {
    if (items_ != nullptr) {
      return items_->boolean();
    }
    const bool value = expect(ValueKind::boolean, "a boolean").boolean();
    consumed();
    return value;
  }
  Number number() override {
    if (items_ != nullptr) {
      return items_->number();
    }
    const Value& value = peek();
    if (!value.is_number()) {
      mismatch("a number");
    }
    const Number number = value.number();
    consumed();
    return number;
  }
  void text(std::string& out) override {
    if (items_ != nullptr) {
      return items_->text(out);
    }
    const Value& value = peek();
    if (value.is_text()) {
      out = value.text();
    } else {
      const Bytes bytes = expect(ValueKind::bytes, "text").bytes();
      out.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    }
    consumed();
  }

  void array(ArrayTarget& target) override {
    if (items_ != nullptr) {
      return items_->array(target);
    }
    const Value& value = peek();
    if (LaterArray* const later = later_array(value); later != nullptr && deliver_later(*later, target)) {
      // read to its place
    } else if (value.is_array()) {
      deliver(value.array().view(), value.array().buffer(), target);
    } else if (value.is(ValueKind::bytes)) {
      const Bytes bytes = value.bytes();
      deliver(ArrayView(DType::Kind::uint8, bytes.data(), bytes.size()), nullptr, target);
    } else {
      mismatch((name_of(target.dtype()) + target.expected()).c_str());
    }
    consumed();
  }

  std::optional<std::uint64_t> begin_sequence() override {
    if (items_ != nullptr) {
      ++items_depth_;
      return items_->begin_sequence();
    }
    const Value& value = peek();
    if (value.is_array()) {
      if (value.array().shape().rank() == 0 && !has_parts(value.array().dtype())) {
        mismatch("a sequence");
      }
      begin_items(value);
      return items_->begin_sequence();
    }
    push(expect(ValueKind::sequence, "a sequence"), Form::sequence);
    return value.size();
  }
  std::optional<std::uint64_t> begin_map() override {
    if (items_ != nullptr) {
      return items_->begin_map();
    }
    const Value& value = peek();
    if (!value.is_map() && !value.is_record()) {
      mismatch("a map");
    }
    return push(value, Form::map).count;
  }
  bool next() override {
    if (items_ != nullptr) {
      return items_go_on(items_->next());
    }
    Frame& frame = frames_.back();
    if (frame.index == frame.count) {
      pop();
      return false;
    }
    const std::size_t index = frame.index++;
    if (frame.index % items_between_points == 0) {
      interruption_point();
    }
    frame.at_key = frame.form == Form::map;
    if (!frame.at_key) {
      next_ = &frame.value->items()[index];
    } else if (frame.value->is_map()) {
      next_ = &frame.value->entries()[index].first;
    } else {
      frame.made = Value(name(frame, index));
      next_ = &frame.made;
    }
    return true;
  }
  void begin_record() override {
    if (items_ != nullptr) {
      ++items_depth_;
      return items_->begin_record();
    }
    const Value& value = peek();
    if (value.is_array() && value.array().dtype().is_record() && value.array().shape().rank() == 0) {
      begin_items(value);
      return items_->begin_record();
    }
    if (!value.is_record() && !value.is_map()) {
      mismatch("a record");
    }
    push(value, Form::record);
  }
  bool next_field(std::string_view& name_out) override {
    if (items_ != nullptr) {
      return items_go_on(items_->next_field(name_out));
    }
    Frame& frame = frames_.back();
    if (frame.index == frame.count) {
      pop();
      return false;
    }
    const std::size_t index = frame.index++;
    if (frame.value->is_map()) {
      const Value::Entry& entry = frame.value->entries()[index];
      next_ = &entry.first;
      if (!entry.first.is_text()) {
        mismatch("a field name");
      }
      name_out = entry.first.text();
      next_ = &entry.second;
    } else {
      name_out = name(frame, index);
      next_ = &field(frame, index);
    }
    return true;
  }
  void skip() override {
    if (items_ != nullptr) {
      return items_->skip();
    }
    consumed();
  }

  std::optional<std::uint64_t> next_reference() override {
    if (items_ != nullptr || !next_->is(ValueKind::reference)) {
      return std::nullopt;
    }
    const auto found = indices_.find(next_->anchor().get());
    return found == indices_.end() ? std::nullopt : std::optional(found->second);
  }
  SharedIn begin_shared() override {
    if (items_ != nullptr) {
      return {};
    }
    const Value& value = *next_;
    if (value.is_array()) {
      return later_array(value) != nullptr ? SharedIn() : begin_shared_array(value);
    }
    if (!value.is(ValueKind::shared) && !value.is(ValueKind::reference)) {
      return {};
    }
    const Value::Anchor anchor = value.anchor();
    const auto [place, is_new] = indices_.try_emplace(anchor.get(), shared_.size());
    if (is_new) {
      shared_.push_back({anchor, nullptr, {}});
    }
    if (at_once_ == 0 && (frames_.size() >= frozen::deferring_depth || stack_is_low())) {
      const Value* const content = value.is(ValueKind::shared) ? &value.content() : anchors_.find(anchor);
      if (content != nullptr) {
        shared_[static_cast<std::size_t>(place->second)].content = content;
        consumed();
        return {SharedIn::State::deferred, place->second,
                content->is(ValueKind::typed) ? content->type_name() : std::string()};
      }
    }
    if (value.is(ValueKind::reference)) {
      consumed();
      return {SharedIn::State::reference, place->second};
    }
    next_ = &value.content();
    return {SharedIn::State::first, place->second, {}, !is_new};
  }
  void define_shared(std::uint64_t index, SharedObject object) override {
    shared_[static_cast<std::size_t>(index)].object = std::move(object);
  }
  void abandon() noexcept override {
    for (const Shared& shared : shared_) {
      shared.object.abandon();
    }
  }
  SharedObject shared(std::uint64_t index) override { return shared_[static_cast<std::size_t>(index)].object; }
  void enter_shared(std::uint64_t index) override {
    require_depth(detours_.size() + frames_.size());
    const Shared& shared = shared_[static_cast<std::size_t>(index)];
    const Value* target = shared.array != nullptr ? shared.array : anchors_.find(shared.anchor);
    if (target == nullptr) {
      error(Errc::not_found, "the target of a reference is not in the value that is read");
    }
    detours_.push_back(next_);
    next_ = target;
  }
  void leave_shared() override {
    next_ = detours_.back();
    detours_.pop_back();
  }
  void defer(std::uint64_t index, SharedLater later) override { later_.push_back({index, std::move(later)}); }
  void finish_shared() override {
    while (!later_.empty()) {
      const Later later = std::move(later_.back());
      later_.pop_back();
      next_ = shared_[static_cast<std::size_t>(later.index)].content;
      if (!later.object.type.empty() && begin_typed() != later.object.type) {
        error(Errc::malformed, "a shared value is of another type than its reference says");
      }
      later.object.read(*this, later.object.object.get());
    }
  }
  std::optional<std::string> begin_typed() override {
    if (items_ != nullptr) {
      return std::nullopt;
    }
    const Value& value = resolve(*next_, false);
    if (!value.is(ValueKind::typed)) {
      return std::nullopt;
    }
    next_ = &value.content();
    return value.type_name();
  }
  void end_typed() override {}

 private:
  void raise(Errc code, std::string message) override {
    const std::string where = path();
    fail(code, std::move(message), {where, {}});
  }

  enum class Form : std::uint8_t { sequence, map, record };
  struct Frame {
    const Value* value = nullptr;
    Form form = Form::sequence;
    bool at_key = false;
    std::size_t count = 0;  // items, entries or fields, including the version
    std::size_t index = 0;  // begun so far
    Value made;             // a name as a key, or the version
  };
  struct Shared {
    Value::Anchor anchor;
    const Value* array = nullptr;  // set for an array without an anchor
    SharedObject object;
    const Value* content = nullptr;  // content that is read later
  };
  struct Later {
    std::uint64_t index;
    SharedLater object;
  };

  // --- The next value ---

  /// Follows sharing and references and, if asked, passes type names.
  const Value& resolve(const Value& from, bool through_types) {
    const Value* value = &from;
    for (std::size_t references = 0;;) {
      if (value->is(ValueKind::shared) || (through_types && value->is(ValueKind::typed))) {
        value = &value->content();
      } else if (value->is(ValueKind::reference)) {
        require_depth(references++);  // they may form a cycle
        value = anchors_.find(value->anchor());
        if (value == nullptr) {
          error(Errc::not_found, "the target of a reference is not in the value that is read");
        }
      } else {
        return *value;
      }
    }
  }
  const Value& peek() { return resolve(*next_, true); }
  const Value& expect(ValueKind kind, const char* wanted) {
    const Value& value = peek();
    if (!value.is(kind)) {
      mismatch(wanted);
    }
    return value;
  }
  [[noreturn]] void mismatch(const char* wanted) {
    const Value& value = peek();
    std::string found = "a " + std::string(to_string(value.kind()));
    if (value.is_array()) {
      found = value.array().dtype().name() + value.array().shape().text();
    } else if (value.is_null() || value.is_text() || value.is(ValueKind::bytes)) {
      found.erase(0, 2);
    }
    error(Errc::type_mismatch, "expected " + std::string(wanted) + ", found " + found);
  }
  /// Called after every value. In a map, the value of a key comes next.
  void consumed() {
    if (!frames_.empty() && frames_.back().at_key) {
      Frame& frame = frames_.back();
      frame.at_key = false;
      const std::size_t index = frame.index - 1;
      next_ = frame.value->is_map() ? &frame.value->entries()[index].second : &field(frame, index);
    }
  }

  /// Arrays that are the same view of one buffer may have been one object.
  SharedIn begin_shared_array(const Value& value) {
    const ArrayView view = ValueAccess::view_to_write(value.array());
    if (view.buffer == nullptr || view.byte_count() == 0) {
      return {};
    }
    const auto [place, is_new] = indices_.try_emplace(view.data, shared_.size());
    if (is_new) {
      shared_.push_back({nullptr, &value, {}});
      return {SharedIn::State::first, place->second};
    }
    const ArrayView& known = shared_[static_cast<std::size_t>(place->second)].array->array().view();
    if (known.dtype != view.dtype || known.shape != view.shape ||
        !std::equal(view.strides, view.strides + view.shape.rank(), known.strides)) {
      return {};
    }
    consumed();
    return {SharedIn::State::reference, place->second};
  }

  // --- Containers ---

  void require_depth(std::size_t depth) {
    if (depth >= deepest_) {
      error(Errc::limit_exceeded,
            "values are nested more than " + std::to_string(deepest_) + " deep; LoadOptions::limits.depth allows more");
    }
    if (stack_is_low()) {
      error(Errc::limit_exceeded,
            "values are nested " + std::to_string(depth) + " deep, and the stack of this thread has no room for more");
    }
  }
  Frame& push(const Value& value, Form form) {
    require_depth(frames_.size() + detours_.size());
    Frame& frame = frames_.emplace_back();
    frame.value = &value;
    frame.form = form;
    frame.count = value.size() + (value.is_record() && value.version() != 0 ? 1 : 0);
    return frame;
  }
  void pop() {
    frames_.pop_back();
    consumed();
  }
  /// A record's version comes before its fields.
  static std::string_view name(const Frame& frame, std::size_t index) {
    const std::size_t extra = frame.count - frame.value->size();
    return index < extra ? walk_version_name : frame.value->names()[index - extra];
  }
  static const Value& field(Frame& frame, std::size_t index) {
    const std::size_t extra = frame.count - frame.value->size();
    if (index < extra) {
      frame.made = Value(frame.value->version());
      return frame.made;
    }
    return frame.value->items()[index - extra];
  }
  void begin_items(const Value& value) {
    items_ = array_items(value.array().view(), value.array().buffer(), *this);
    items_depth_ = 1;
  }
  bool items_go_on(bool more) {
    if (!more && --items_depth_ == 0) {
      items_.reset();
      consumed();
    }
    return more;
  }

  // --- Arrays ---

  static std::string name_of(const DType& dtype) {
    return dtype.kind() == DType::Kind::none ? std::string() : dtype.name();
  }
  void check(const ArrayHeader& stored, ArrayTarget& target) {
    const DType& wanted = target.dtype();
    const bool any = wanted.kind() == DType::Kind::none;
    if ((!any && !widens(stored.dtype, wanted)) || !target.accepts(stored)) {
      mismatch((name_of(wanted) + target.expected()).c_str());
    }
    if (!any) {
      check_fields(stored.dtype, wanted, *this);
    }
  }
  /// False if the array cannot be read to where the target wants it.
  bool deliver_later(LaterArray& array, ArrayTarget& target) {
    const ArrayHeader& stored = array.header();
    check(stored, target);
    const bool any = target.dtype().kind() == DType::Kind::none;
    const ArrayHeader wanted{any ? stored.dtype : target.dtype(), stored.shape, stored.order};
    if (target.order(wanted) != stored.order) {
      return false;
    }
    return array.read_as(wanted.dtype, [&]() -> MutableBytes {
      const std::uint64_t total = stored.shape.count() * wanted.dtype.item_size();
      target.memory(wanted, 0, total, true);
      return {target.memory(wanted, total, total, true), static_cast<std::size_t>(total)};
    });
  }
  void deliver(const ArrayView& view, const std::shared_ptr<Buffer>& buffer, ArrayTarget& target) {
    const ArrayHeader stored{view.dtype, view.shape, stored_order(view)};
    check(stored, target);
    const bool any = target.dtype().kind() == DType::Kind::none;
    const ArrayHeader wanted{any ? stored.dtype : target.dtype(), stored.shape, stored.order};
    const bool same = stored.dtype == wanted.dtype;
    if (handing_.buffers && same && buffer != nullptr && target.can_share() && target.share(view, buffer)) {
      return;
    }
    const std::uint64_t count = stored.shape.count();
    const std::uint64_t size = wanted.dtype.item_size();
    const std::uint64_t total = count * size;
    target.memory(wanted, 0, total, true);
    std::byte* to = target.memory(wanted, total, total, true);
    const Order order = target.order(wanted);
    if (same) {
      gather(view, order, 0, count, to);
      return;
    }
    const std::uint64_t per_piece = std::max<std::uint64_t>(1, convert_bytes / view.dtype.item_size());
    std::vector<std::byte> raw(static_cast<std::size_t>(std::min(count, per_piece) * view.dtype.item_size()));
    for (std::uint64_t first = 0; first < count; first += per_piece) {
      const std::uint64_t n = std::min(per_piece, count - first);
      gather(view, order, first, n, raw.data());
      if (!convert_elements(view.dtype, raw.data(), wanted.dtype, to + first * size, n)) {
        error(Errc::out_of_range, inexact_time);
      }
    }
  }

  static std::optional<std::string> key_text(const Value& key) {
    if (key.is_text()) {
      return key.text();
    }
    return key.is_number() && is_step(key.number()) ? std::optional(number_text(key.number())) : std::nullopt;
  }
  std::string path() const {
    std::string text;
    for (const Frame& frame : frames_) {
      if (frame.index == 0) {
        break;
      }
      const std::size_t index = frame.index - 1;
      if (frame.value->is_record()) {
        append_step(text, name(frame, index));
      } else if (frame.value->is_sequence()) {
        append_step(text, std::to_string(index));
      } else {
        const auto entries = frame.value->entries();
        const std::optional<std::string> key = key_text(entries[index].first);
        if (key && (index == 0 || key_text(entries[index - 1].first) != key)) {
          append_step(text, *key);
        } else {
          append_place(text, index);
        }
      }
    }
    return text;
  }

  const Value* const root_;
  const Value* next_;
  std::deque<Frame> frames_;  // a deque, because `next_` may point into a frame
  std::vector<const Value*> detours_;
  Anchors anchors_;
  std::vector<Shared> shared_;
  std::vector<Later> later_;
  std::unordered_map<const void*, std::uint64_t> indices_;  // indices in shared_, by anchor or first element
  std::unique_ptr<InVisitor> items_;                        // handles the calls while an array is read item by item
  std::size_t items_depth_ = 0;
  std::size_t deepest_;
  const Handing handing_;
};

}  // namespace

std::unique_ptr<InVisitor> value_reader(const Value& value, const LoadOptions& options) {
  return value_reader(value, options, Handing());
}

std::unique_ptr<InVisitor> value_reader(const Value& value, const LoadOptions& options, Handing handing) {
  return std::make_unique<ValueReader>(value, options, handing);
}

std::optional<Value> take_tree(InVisitor& in) {
  return typeid(in) == typeid(ValueReader) ? static_cast<const ValueReader&>(in).take_tree() : std::nullopt;
}

}  // namespace stele

// Builds Values from events (ValueBuilder) and sends Values as events.

#include <algorithm>
#include <unordered_map>

#include "archive/value/any_array.hpp"
#include "archive/value/later.hpp"
#include "archive/value/nodes.hpp"
#include "archive/write/shared_buffers.hpp"
#include "base/stack.hpp"
#include "format/frozen.hpp"
#include "format/path/path.hpp"

namespace stele {
namespace {

constexpr std::uint64_t most_reserved = 4096;  // items reserved before they arrive

std::size_t room_for(std::uint64_t count) noexcept { return static_cast<std::size_t>(std::min(count, most_reserved)); }

/// Assembles values from their parts. Typed and shared values end with the value inside them.
class Assembly {
 public:
  enum class Form : std::uint8_t { sequence, map, record, typed, shared };

  void put(Value value) {
    while (!frames_.empty()) {
      Frame& frame = frames_.back();
      if (frame.form == Form::typed) {
        value = Value::make_typed(std::move(frame.name), std::move(value));
      } else if (frame.form == Form::shared) {
        value = Value::make_shared(std::move(frame.anchor), std::move(value));
      } else {
        if (frame.form != Form::map) {
          frame.items.push_back(std::move(value));
        } else if (frame.has_key) {
          frame.entries.emplace_back(std::move(frame.key), std::move(value));
          frame.has_key = false;
        } else {
          frame.key = std::move(value);
          frame.has_key = true;
        }
        return;
      }
      frames_.pop_back();
    }
    root_ = std::move(value);
    complete_ = true;
  }
  void begin_sequence(std::uint64_t count, Ordering ordering) {
    Frame& frame = push(Form::sequence);
    frame.ordering = ordering;
    frame.items.reserve(room_for(count));
  }
  void begin_map(std::uint64_t count, Ordering ordering) {
    Frame& frame = push(Form::map);
    frame.ordering = ordering;
    frame.entries.reserve(room_for(count));
  }
  void begin_record(std::shared_ptr<const RecordLayout> layout) {
    Frame& frame = push(Form::record);
    frame.items.reserve(layout->names.size());
    frame.layout = std::move(layout);
  }
  /// A record whose names arrive by add_name().
  void begin_record() { push(Form::record); }
  void add_name(std::string_view name) { frames_.back().names.emplace_back(name); }
  void set_version(std::uint32_t version) { frames_.back().version = version; }
  void begin_typed(std::string name) { push(Form::typed).name = std::move(name); }
  void begin_shared(Value::Anchor anchor) { push(Form::shared).anchor = std::move(anchor); }
  void end() {
    if (frames_.empty() || frames_.back().form >= Form::typed || frames_.back().has_key) {
      fail(Errc::invalid_argument, "end() of a container that was not begun or lacks a value");
    }
    Frame frame = std::move(frames_.back());
    frames_.pop_back();
    if (frame.form == Form::sequence) {
      put(Value::make_sequence(std::move(frame.items), frame.ordering));
    } else if (frame.form == Form::map) {
      put(Value::make_map(std::move(frame.entries), frame.ordering));
    } else {
      if (frame.layout == nullptr) {
        frame.layout = layout(std::move(frame.names), frame.version);
      }
      if (frame.layout->names.size() != frame.items.size()) {
        fail(Errc::invalid_argument, "a record was given another number of values than it has names");
      }
      put(ValueAccess::record(std::move(frame.layout), std::move(frame.items)));
    }
  }
  std::size_t depth() const noexcept { return frames_.size(); }
  Value finish() {
    if (!complete_ || !frames_.empty()) {
      fail(Errc::invalid_argument, "a value was not completed");
    }
    complete_ = false;
    return std::move(root_);
  }

  /// A layout with these names; reuses the previous one if it has the same names.
  template <class Names>
  std::shared_ptr<const RecordLayout> layout(Names&& names, std::uint32_t version) {
    if (last_layout_ == nullptr || last_layout_->version != version ||
        !std::equal(names.begin(), names.end(), last_layout_->names.begin(), last_layout_->names.end())) {
      last_layout_ = make_layout({names.begin(), names.end()}, version);
    }
    return last_layout_;
  }

 private:
  struct Frame {
    Form form;
    bool has_key = false;
    Ordering ordering = Ordering::ordered;
    std::uint32_t version = 0;
    std::vector<Value> items;
    std::vector<Value::Entry> entries;
    Value key;
    std::shared_ptr<const RecordLayout> layout;
    std::vector<std::string> names;
    std::string name;
    Value::Anchor anchor;
  };
  Frame& push(Form form) {
    Frame& frame = frames_.emplace_back();
    frame.form = form;
    return frame;
  }

  std::vector<Frame> frames_;
  std::shared_ptr<const RecordLayout> last_layout_;
  Value root_;
  bool complete_ = false;
};

}  // namespace

// --- Building from events --------------------------------------------------------------------------------------------

class ValueBuilder::Visitor final : public OutVisitor {
 public:
  Visitor(const TypeRegistry* types, CopyArray copy) : copy_(std::move(copy)) { types_ = types; }

  void null() override { assembly_.put(nullptr); }
  void boolean(bool value) override { assembly_.put(value); }
  void integer(std::int64_t value) override { assembly_.put(value); }
  void natural(std::uint64_t value) override { assembly_.put(value); }
  void real(float16 value) override { assembly_.put(value); }
  void real(float value) override { assembly_.put(value); }
  void real(double value) override { assembly_.put(value); }
  void text(std::string_view value) override { assembly_.put(value); }
  void bytes(Bytes value) override { assembly_.put(Value::make_bytes(value)); }
  void array(const ArrayView& value) override { assembly_.put(copy(value)); }
  void begin_sequence(std::uint64_t count, Ordering ordering) override {
    require_stack();
    assembly_.begin_sequence(count, ordering);
  }
  void begin_map(std::uint64_t count, Ordering ordering) override {
    require_stack();
    assembly_.begin_map(count, ordering);
  }
  void begin_record(const RecordInfo& info) override {
    require_stack();
    assembly_.begin_record(assembly_.layout(info.names, info.version));
  }
  void end() override { assembly_.end(); }
  bool begin_shared(const SharedOut& object) override {
    const SharedTable::Met met = shared_.meet(object);
    if (met.value == nullptr) {
      fail(Errc::invalid_argument, SharedTable::problem(met.what));
    }
    if (!met.is_first()) {
      assembly_.put(Value::make_reference(anchors_[static_cast<std::size_t>(*met.value)]));
      return false;
    }
    *met.value = anchors_.size();
    anchors_.push_back(Value::make_anchor(anchors_.size()));
    if (at_once_ == 0 && (assembly_.depth() >= frozen::deferring_depth || stack_is_low())) {
      later_.push_back({object.later(), ValueAccess::unfinished(anchors_.back())});
      assembly_.put(ValueAccess::make(ValueKind::shared, later_.back().node));
      return false;
    }
    assembly_.begin_shared(anchors_.back());
    return true;
  }
  void begin_typed(std::string_view name) override { assembly_.begin_typed(std::string(name)); }

  Value finish() {
    Value value = assembly_.finish();
    while (!later_.empty()) {
      const Later later = std::move(later_.back());
      later_.pop_back();
      later.object.write(*this, later.object.value.get());
      later.node->content = assembly_.finish();
    }
    shared_.clear();
    anchors_.clear();
    copies_.clear();
    return value;
  }

 private:
  void require_stack() const {
    if (stack_is_low()) {
      fail(Errc::limit_exceeded, "values are nested " + std::to_string(assembly_.depth()) +
                                     " deep, and the stack of this thread has no room for more");
    }
  }

  struct Copy {
    ArrayView original;
    AnyArray array;
  };

  /// Copies a view of a buffer once, even if it occurs again.
  AnyArray copy(const ArrayView& view) {
    if (copy_) {
      return copy_(view);
    }
    if (view.buffer == nullptr || view.byte_count() == 0) {
      return AnyArray::copy_of(view);
    }
    std::vector<Copy>& copies = copies_.at(view.buffer);
    for (const Copy& copy : copies) {
      if (copy.original.data == view.data && copy.original.dtype == view.dtype && copy.original.shape == view.shape &&
          std::equal(view.strides, view.strides + view.shape.rank(), copy.original.strides)) {
        return copy.array;
      }
    }
    const AnyArray made = AnyArray::copy_of(view);
    copies.push_back({view, ValueAccess::array(made.view(), made.buffer(), true)});
    return copies.back().array;
  }

  /// A shared object that is built after the value around it.
  struct Later {
    SharedOut::Later object;
    std::shared_ptr<ValueAccess::Wrap> node;
  };

  Assembly assembly_;
  std::vector<Later> later_;
  SharedTable shared_{SharedTable::Overlap::refused};
  std::vector<Value::Anchor> anchors_;  // of the shared objects
  BufferMap<std::vector<Copy>> copies_;
  const CopyArray copy_;
};

ValueBuilder::ValueBuilder(const TypeRegistry* types, CopyArray copy)
    : visitor_(std::make_unique<Visitor>(types, std::move(copy))) {}

ValueBuilder::~ValueBuilder() = default;

OutVisitor& ValueBuilder::visitor() noexcept { return *visitor_; }

Value ValueBuilder::finish() { return visitor_->finish(); }

// --- Writing ---------------------------------------------------------------------------------------------------------

namespace {

class ValueWriter {
 public:
  ValueWriter(OutVisitor& out, const Value& root) : out_(out), root_(root) {}

  void write() { write(root_); }

 private:
  /// State of the whole write, including parts that are written later.
  struct Whole {
    explicit Whole(const Value& value) : root(value) {}
    Value root;
    Anchors anchors{root};
  };
  /// A part that is written later.
  struct Rest {
    std::shared_ptr<Whole> whole;
    const Value* value;
  };
  ValueWriter(OutVisitor& out, std::shared_ptr<Whole> whole)
      : out_(out), root_(whole->root), whole_(std::move(whole)) {}

  class AnchorOut final : public SharedOut {
   public:
    AnchorOut(ValueWriter& writer, const Value& value)
        : SharedOut(value.anchor().get(), typeid(Value)), writer_(writer), value_(value) {}
    std::size_t bytes() const override { return sizeof(Value::Anchor::element_type); }
    std::weak_ptr<const void> owner() const override { return value_.anchor(); }
    std::string type_name() const override {
      const Value& content = writer_.content(value_);
      return content.is(ValueKind::typed) ? content.type_name() : std::string();
    }
    Later later() const override {
      const Value& content = writer_.content(value_);
      return {std::make_shared<Rest>(Rest{writer_.whole(), &content}), [](OutVisitor& out, const void* value) {
                const Rest& rest = *static_cast<const Rest*>(value);
                ValueWriter(out, rest.whole).write(*rest.value);
              }};
    }

   private:
    ValueWriter& writer_;
    const Value& value_;
  };

  const std::shared_ptr<Whole>& whole() {
    if (whole_ == nullptr) {
      whole_ = std::make_shared<Whole>(root_);
    }
    return whole_;
  }
  /// The content of a shared value. The target of a reference may come later; it is then written at the reference.
  const Value& content(const Value& value) {
    if (value.is(ValueKind::shared)) {
      return value.content();
    }
    const Value* found = whole()->anchors.find(value.anchor());
    if (found == nullptr) {
      fail(Errc::invalid_argument, "the target of a reference is not in the value that is written");
    }
    return *found;
  }

  void write(const Value& root) {
    put(root);
    while (!frames_.empty()) {
      Frame& frame = frames_.back();
      if (frame.next == frame.count) {
        frames_.pop_back();
        out_.end();
        continue;
      }
      const std::size_t index = frame.next++;
      if (!frame.order.empty()) {
        put(*static_cast<const Value*>(frame.order[index]));
      } else if (frame.entries != nullptr) {
        const Value::Entry& entry = frame.entries[index / 2];
        put(index % 2 == 0 ? entry.first : entry.second);
      } else {
        put(frame.items[index]);
      }
    }
  }

  struct Frame {
    const Value* items = nullptr;
    const Value::Entry* entries = nullptr;
    std::vector<const void*> order;  // unordered values, written in canonical order
    std::size_t count = 0;           // values; keys count
    std::size_t next = 0;
  };

  /// Writes a value. A container is only begun; write() writes its items.
  void put(const Value& root) {
    const Value* value = &root;
    for (;;) {
      switch (value->kind()) {
        case ValueKind::typed:
          out_.begin_typed(value->type_name());
          value = &value->content();
          continue;
        case ValueKind::shared:
        case ValueKind::reference:
          if (!out_.begin_shared(AnchorOut(*this, *value))) {
            return;
          }
          value = &content(*value);
          continue;
        default:
          return put_plain(*value);
      }
    }
  }

  void put_plain(const Value& value) {
    switch (value.kind()) {
      case ValueKind::boolean:
        return out_.boolean(value.boolean());
      case ValueKind::integer:
        return put_integer(value.number());
      case ValueKind::real:
        return put_real(value.number());
      case ValueKind::text:
        return out_.text(value.text());
      case ValueKind::bytes:
        return out_.bytes(value.bytes());
      case ValueKind::array:
        return put_array(value);
      case ValueKind::record: {
        RecordInfo info;
        info.names = value.names();
        info.version = value.version();
        out_.begin_record(info);
        frames_.push_back({value.items().data(), nullptr, {}, value.size()});
        return;
      }
      case ValueKind::sequence: {
        out_.begin_sequence(value.size(), value.ordering());
        Frame frame{value.items().data(), nullptr, {}, value.size()};
        if (value.ordering() == Ordering::unordered && out_.canonical()) {
          walk::CanonicalOrder order;
          for (const Value& item : value.items()) {
            stele::write(order.key(), item);
            order.add(&item);
          }
          frame.order = order.sorted();
        }
        frames_.push_back(std::move(frame));
        return;
      }
      case ValueKind::map: {
        out_.begin_map(value.size(), value.ordering());
        Frame frame{nullptr, value.entries().data(), {}, 2 * value.size()};
        if (value.ordering() == Ordering::unordered && out_.canonical()) {
          walk::CanonicalOrder order;
          for (const Value::Entry& entry : value.entries()) {
            stele::write(order.key(), entry.first);
            order.add(&entry);
          }
          for (const void* at : order.sorted()) {
            const auto& entry = *static_cast<const Value::Entry*>(at);
            frame.order.push_back(&entry.first);
            frame.order.push_back(&entry.second);
          }
        }
        frames_.push_back(std::move(frame));
        return;
      }
      default:
        return out_.null();
    }
  }
  void put_array(const Value& value) {
    LaterArray* const later = later_array(value);
    if (later == nullptr) {
      return out_.array(ValueAccess::view_to_write(value.array()));
    }
    if (auto* const pieces = dynamic_cast<LaterOut*>(&out_)) {
      return pieces->later(*later);
    }
    const AnyArray array = later->read();
    out_.array(ValueAccess::view_to_write(array));
  }
  void put_integer(const Number& number) {
    if (number.type == Number::Type::natural) {
      return out_.natural(number.bits);
    }
    if (number.bits > static_cast<std::uint64_t>(INT64_MAX)) {
      fail(Errc::out_of_range, "an integer below -2^63 cannot be written");
    }
    out_.integer(static_cast<std::int64_t>(~number.bits));
  }
  void put_real(const Number& number) {
    switch (number.type) {
      case Number::Type::float16:
        return out_.real(std::bit_cast<float16>(static_cast<std::uint16_t>(number.bits)));
      case Number::Type::float32:
        return out_.real(std::bit_cast<float>(static_cast<std::uint32_t>(number.bits)));
      default:
        return out_.real(std::bit_cast<double>(number.bits));
    }
  }

  OutVisitor& out_;
  const Value& root_;
  std::shared_ptr<Whole> whole_;
  std::vector<Frame> frames_;
};

// --- Reading ---------------------------------------------------------------------------------------------------------

class ValueLoader {
 public:
  /// The anchors of the shared values so far; parts that are read later use them too.
  using KnownAnchors = std::unordered_map<std::uint64_t, Value::Anchor>;
  /// `leaving`: large arrays stay where they are, if `in` can leave them.
  explicit ValueLoader(InVisitor& in, bool leaving = false, std::shared_ptr<KnownAnchors> anchors = nullptr)
      : in_(in), leaving_(leaving ? dynamic_cast<LaterIn*>(&in) : nullptr), anchors_(std::move(anchors)) {}

  Value load() {
    take();
    while (!levels_.empty()) {
      switch (levels_.back().form) {
        case Level::Form::sequence:
          in_.next() ? take() : end();
          break;
        case Level::Form::map: {
          bool& at_value = levels_.back().at_value;
          at_value = !at_value;
          !at_value || in_.next() ? take() : end();  // a value follows a key
          break;
        }
        case Level::Form::record:
          take_field();
          break;
        case Level::Form::typed:
          levels_.pop_back();
          in_.end_typed();
          break;
        case Level::Form::detour:
          levels_.pop_back();
          in_.leave_shared();
          break;
      }
    }
    return assembly_.finish();
  }

 private:
  struct Later {
    std::shared_ptr<KnownAnchors> anchors;
    std::shared_ptr<ValueAccess::Wrap> node;
    bool leaving = false;
  };
  struct Level {
    enum class Form : std::uint8_t { sequence, map, record, typed, detour } form;
    bool at_value = false;  // map
  };

  void end() {
    levels_.pop_back();
    assembly_.end();
  }

  void take_field() {
    std::string_view name;
    if (!in_.next_field(name)) {
      end();
    } else if (name == walk_version_name) {
      assembly_.set_version(walk::read_version(in_, ~std::uint32_t{0}));
    } else {
      assembly_.add_name(name);
      take();
    }
  }

  /// Reads a value. A container is only begun; load() reads its items.
  void take() {
    for (;;) {
      if (in_.at_deferred()) {
        return take_later(in_.begin_shared());
      }
      const Kind kind = in_.kind();
      if (kind == Kind::array) {  // the reader decides whether arrays are shared
        return take_plain(kind);
      }
      const SharedIn shared = in_.begin_shared();
      if (shared.state == SharedIn::State::deferred) {
        return take_later(shared);
      }
      if (shared.state != SharedIn::State::inline_value) {
        if (!begin_shared(shared)) {
          return;
        }
        continue;
      }
      std::optional<std::string> name = kind == Kind::sequence ? in_.begin_typed() : std::nullopt;
      if (!name) {
        return take_plain(kind);
      }
      assembly_.begin_typed(std::move(*name));
      levels_.push_back({Level::Form::typed});
    }
  }

  KnownAnchors& anchors() {
    if (anchors_ == nullptr) {
      anchors_ = std::make_shared<KnownAnchors>();
    }
    return *anchors_;
  }

  /// A shared value whose content is read later.
  void take_later(const SharedIn& shared) {
    const auto [place, is_new] = anchors().try_emplace(shared.index);
    if (!is_new) {
      return assembly_.put(Value::make_reference(place->second));
    }
    place->second = Value::make_anchor(place->first);
    auto later = std::make_shared<Later>(Later{anchors_, ValueAccess::unfinished(place->second), leaving_ != nullptr});
    assembly_.put(ValueAccess::make(ValueKind::shared, later->node));
    in_.defer(shared.index, {later, {}, [](InVisitor& in, void* object) {
                               auto& part = *static_cast<Later*>(object);
                               part.node->content = ValueLoader(in, part.leaving, part.anchors).load();
                             }});
  }

  /// False if this is a reference to a value that has begun; nothing follows it.
  bool begin_shared(const SharedIn& shared) {
    const auto [place, is_new] = anchors().try_emplace(shared.index);
    if (shared.state == SharedIn::State::reference) {
      if (!is_new) {
        assembly_.put(Value::make_reference(place->second));
        return false;
      }
      in_.enter_shared(shared.index);
      levels_.push_back({Level::Form::detour});
    }
    if (is_new) {
      place->second = Value::make_anchor(shared.index);
    }
    if (in_.shared(shared.index).pointer == nullptr) {
      in_.define_shared(shared.index, {});  // known, but other types must read it again
    }
    assembly_.begin_shared(place->second);
    return true;
  }

  void take_plain(Kind kind) {
    switch (kind) {
      case Kind::null:
        in_.null();
        return assembly_.put(nullptr);
      case Kind::boolean:
        return assembly_.put(in_.boolean());
      case Kind::integer:
      case Kind::real: {
        const Number number = in_.number();
        if (number.type == Number::Type::negative) {
          return assembly_.put(to_signed(number, INT64_MIN, -1, in_));
        }
        return assembly_.put(Value(number));
      }
      case Kind::text: {
        std::string text;
        in_.text(text);
        return assembly_.put(Value(std::move(text)));
      }
      case Kind::bytes: {
        std::string bytes;
        in_.text(bytes);
        return assembly_.put(Value::make_bytes(std::as_bytes(std::span(bytes))));
      }
      case Kind::array: {
        if (std::optional<Value> left = leaving_ != nullptr ? leaving_->leave() : std::nullopt) {
          return assembly_.put(*std::move(left));
        }
        AnyTarget target;
        in_.array(target);
        // The reader keeps buffers of arrays that references may need.
        const bool shareable = target.buffer().use_count() > 1;
        return assembly_.put(ValueAccess::array(target.view(), target.buffer(), shareable));
      }
      case Kind::sequence:
        assembly_.begin_sequence(in_.begin_sequence().value_or(0), Ordering::ordered);
        return levels_.push_back({Level::Form::sequence});
      case Kind::map:
        assembly_.begin_map(in_.begin_map().value_or(0), Ordering::ordered);
        return levels_.push_back({Level::Form::map});
      case Kind::record:
        in_.begin_record();
        assembly_.begin_record();
        return levels_.push_back({Level::Form::record});
    }
  }

  InVisitor& in_;
  LaterIn* const leaving_;
  Assembly assembly_;
  std::vector<Level> levels_;
  std::shared_ptr<KnownAnchors> anchors_;
};

}  // namespace

void Visit<Value>::write(OutVisitor& out, const Value& value) { ValueWriter(out, value).write(); }

void Visit<Value>::read(InVisitor& in, Value& value) {
  std::optional<Value> tree = take_tree(in);
  value = tree ? *std::move(tree) : ValueLoader(in).load();
}

void Visit<LaterTree>::read(InVisitor& in, LaterTree& tree) {
  std::optional<Value> whole = take_tree(in);
  tree.value = whole ? *std::move(whole) : ValueLoader(in, true).load();
}

void Visit<StreamedRoot>::read(InVisitor& in, StreamedRoot& root) {
  auto* const later_in = dynamic_cast<LaterIn*>(&in);
  std::shared_ptr<LaterArray> array = later_in != nullptr && in.kind() == Kind::array ? later_in->stream() : nullptr;
  root.take(array != nullptr ? later_value(std::move(array)) : ValueLoader(in).load());
}

}  // namespace stele

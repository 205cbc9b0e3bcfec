#include "stele/value.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <cstring>

#include "archive/value/later.hpp"
#include "archive/value/nodes.hpp"
#include "format/array/typed.hpp"
#include "format/frozen.hpp"
#include "format/path/path.hpp"
#include "format/text/utf8.hpp"

namespace stele {
namespace {

constexpr std::uint32_t deep = 100;  // deeper values are destroyed in a loop
constexpr std::uint64_t compare_bytes = std::uint64_t{64} << 10;

std::uint32_t above(std::uint32_t height) noexcept { return height + (height < UINT32_MAX ? 1 : 0); }

void require(const Value& value, ValueKind wanted) {
  if (!value.is(wanted)) {
    fail(Errc::type_mismatch,
         "expected a " + std::string(to_string(wanted)) + ", found a " + std::string(to_string(value.kind())));
  }
}

void require_anchor(const Value::Anchor& anchor) {
  if (anchor == nullptr) {
    fail(Errc::invalid_argument, "a shared value or a reference without an anchor");
  }
}

/// Whether a path step names this map key.
bool is_key(const Value& key, std::string_view step) {
  if (key.is_text() || key.is(ValueKind::bytes)) {
    return (key.is_text()
                ? std::string_view(key.text())
                : std::string_view(reinterpret_cast<const char*>(key.bytes().data()), key.bytes().size())) == step;
  }
  return key.is_number() && is_step(key.number()) && number_text(key.number()) == step;
}

}  // namespace

std::string_view to_string(ValueKind kind) noexcept {
  static constexpr std::array<std::string_view, 13> names = {
      "null",     "boolean", "integer", "real",        "text",         "bytes",    "array",
      "sequence", "map",     "record",  "typed value", "shared value", "reference"};
  return names[static_cast<std::size_t>(kind)];
}

// --- AnyArray --------------------------------------------------------------------------------------------------------

AnyArray::AnyArray(const ArrayView& view, std::shared_ptr<Buffer> buffer) : view_(view), buffer_(std::move(buffer)) {
  view_.buffer = buffer_.get();
}

AnyArray AnyArray::copy_of(const ArrayView& view) {
  const Order order = stored_order(view);
  auto buffer = Buffer::allocate(static_cast<std::size_t>(view.byte_count()));
  gather(view, order, 0, view.shape.count(), buffer->mutable_data());
  const ArrayView copy(view.dtype, buffer->data(), view.shape, order);
  return AnyArray(copy, std::move(buffer));
}

bool operator==(const AnyArray& a, const AnyArray& b) {
  const ArrayView& x = a.view_;
  const ArrayView& y = b.view_;
  if (x.dtype != y.dtype || x.shape != y.shape) {
    return false;
  }
  const std::uint64_t size = x.dtype.item_size();
  const std::uint64_t count = x.shape.count();
  if (size == 0 || count == 0) {
    return true;
  }
  for (const Order order : {Order::row_major, Order::column_major}) {
    if (x.is_dense(order) && y.is_dense(order)) {
      return std::memcmp(x.data, y.data, static_cast<std::size_t>(x.byte_count())) == 0;
    }
  }
  const std::uint64_t per_piece = std::min(count, std::max<std::uint64_t>(1, compare_bytes / size));
  std::vector<std::byte> left(static_cast<std::size_t>(per_piece * size));
  std::vector<std::byte> right(left.size());
  for (std::uint64_t first = 0; first < count; first += per_piece) {
    const std::uint64_t n = std::min(per_piece, count - first);
    gather(x, Order::row_major, first, n, left.data());
    gather(y, Order::row_major, first, n, right.data());
    if (std::memcmp(left.data(), right.data(), static_cast<std::size_t>(n * size)) != 0) {
      return false;
    }
  }
  return true;
}

AnyArray ValueAccess::array(const ArrayView& view, std::shared_ptr<Buffer> buffer, bool shareable) {
  AnyArray array(view, std::move(buffer));
  array.shareable_ = shareable;
  return array;
}

ArrayView ValueAccess::view_to_write(const AnyArray& array) {
  ArrayView view = array.view_;
  if (!array.shareable_ && array.buffer_.use_count() < 2) {
    view.buffer = nullptr;
  }
  return view;
}

// --- Nodes -----------------------------------------------------------------------------------------------------------

std::shared_ptr<const RecordLayout> make_layout(std::vector<std::string> names, std::uint32_t version) {
  auto layout = std::make_shared<RecordLayout>();
  layout->names = std::move(names);
  layout->views.assign(layout->names.begin(), layout->names.end());
  layout->version = version;
  return layout;
}

void ValueAccess::take_apart(std::vector<Value> values) noexcept {
  while (!values.empty()) {
    const Value value = std::move(values.back());
    values.pop_back();
    if (value.node_ != nullptr && value.node_.use_count() == 1) {
      // This is the last reference: acquire the changes that other owners made before they released theirs.
      std::atomic_thread_fence(std::memory_order_acquire);
      const_cast<Node&>(*value.node_).give(values);
    }
  }
}

ValueAccess::Items::~Items() {
  if (height > deep) {
    take_apart(std::move(items));
  }
}
void ValueAccess::Items::give(std::vector<Value>& values) {
  std::move(items.begin(), items.end(), std::back_inserter(values));
  items.clear();
}

ValueAccess::Map::~Map() {
  if (height > deep) {
    std::vector<Value> values;
    Map::give(values);
    take_apart(std::move(values));
  }
}
void ValueAccess::Map::give(std::vector<Value>& values) {
  for (auto& [key, value] : entries) {
    values.push_back(std::move(key));
    values.push_back(std::move(value));
  }
  entries.clear();
}

ValueAccess::Wrap::~Wrap() {
  if (height > deep) {
    std::vector<Value> values;
    Wrap::give(values);
    take_apart(std::move(values));
  }
}
void ValueAccess::Wrap::give(std::vector<Value>& values) { values.push_back(std::move(content)); }

Value ValueAccess::make(ValueKind kind, std::shared_ptr<const Node> node) noexcept {
  Value value;
  value.kind_ = kind;
  value.node_ = std::move(node);
  return value;
}

std::shared_ptr<ValueAccess::Wrap> ValueAccess::unfinished(Value::Anchor anchor) {
  auto node = std::make_shared<Wrap>();
  node->anchor = std::move(anchor);
  node->height = UINT32_MAX;  // unknown; its owner is destroyed in a loop
  return node;
}

Value ValueAccess::record(std::shared_ptr<const RecordLayout> layout, std::vector<Value> values) {
  auto node = std::make_shared<Items>();
  node->layout = std::move(layout);
  node->items = std::move(values);
  for (const Value& value : node->items) {
    node->height = std::max(node->height, above(height(value)));
  }
  return make(ValueKind::record, std::move(node));
}

const Value* Anchors::find(const Value::Anchor& anchor) {
  if (!known_) {
    known_ = true;
    std::vector<const Value*> pending{&root_};
    while (!pending.empty()) {
      const Value& value = *pending.back();
      pending.pop_back();
      switch (value.kind()) {
        case ValueKind::sequence:
        case ValueKind::record:
          for (const Value& item : value.items()) {
            pending.push_back(&item);
          }
          break;
        case ValueKind::map:
          for (const auto& [key, item] : value.entries()) {
            pending.push_back(&key);
            pending.push_back(&item);
          }
          break;
        case ValueKind::shared:
          contents_.emplace(value.anchor().get(), &value.content());
          pending.push_back(&value.content());
          break;
        case ValueKind::typed:
          pending.push_back(&value.content());
          break;
        default:
          break;
      }
    }
  }
  const auto found = contents_.find(anchor.get());
  return found == contents_.end() ? nullptr : found->second;
}

// --- Making values ---------------------------------------------------------------------------------------------------

Value::Value(Value&& other) noexcept
    : kind_(std::exchange(other.kind_, ValueKind::null)),
      number_(other.number_),
      bits_(other.bits_),
      node_(std::move(other.node_)) {}

Value& Value::operator=(Value&& other) noexcept {
  Value taken(std::move(other));
  kind_ = taken.kind_;
  number_ = taken.number_;
  bits_ = taken.bits_;
  std::swap(node_, taken.node_);
  return *this;
}

Value::Value(const Number& number) noexcept
    : kind_(number.type <= Number::Type::negative ? ValueKind::integer : ValueKind::real),
      number_(number.type),
      bits_(number.bits) {}

Value::Value(std::string text) : kind_(is_utf8(text) ? ValueKind::text : ValueKind::bytes) {
  auto node = std::make_shared<ValueAccess::Text>();
  node->text = std::move(text);
  node_ = std::move(node);
}

Value::Value(AnyArray array) : kind_(ValueKind::array) {
  if (array.dtype().kind() == DType::Kind::none) {
    fail(Errc::invalid_argument, "an array without an element type");
  }
  auto node = std::make_shared<ValueAccess::Array>();
  node->array = std::move(array);
  node_ = std::move(node);
}

Value Value::make_bytes(Bytes bytes) {
  auto node = std::make_shared<ValueAccess::Text>();
  node->text.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return ValueAccess::make(ValueKind::bytes, std::move(node));
}

Value Value::make_sequence(std::vector<Value> items, Ordering ordering) {
  auto node = std::make_shared<ValueAccess::Items>();
  node->items = std::move(items);
  node->ordering = ordering;
  for (const Value& item : node->items) {
    node->height = std::max(node->height, above(ValueAccess::height(item)));
  }
  return ValueAccess::make(ValueKind::sequence, std::move(node));
}

Value Value::make_map(std::vector<Entry> entries, Ordering ordering) {
  auto node = std::make_shared<ValueAccess::Map>();
  node->entries = std::move(entries);
  node->ordering = ordering;
  for (const auto& [key, value] : node->entries) {
    node->height = std::max({node->height, above(ValueAccess::height(key)), above(ValueAccess::height(value))});
  }
  return ValueAccess::make(ValueKind::map, std::move(node));
}

Value Value::make_record(std::vector<std::string> names, std::vector<Value> values, std::uint32_t version) {
  if (names.size() != values.size()) {
    fail(Errc::invalid_argument,
         "a record of " + std::to_string(names.size()) + " names and " + std::to_string(values.size()) + " values");
  }
  return ValueAccess::record(make_layout(std::move(names), version), std::move(values));
}

Value Value::make_typed(std::string name, Value content) {
  auto node = std::make_shared<ValueAccess::Wrap>();
  node->name = std::move(name);
  node->height = above(ValueAccess::height(content));
  node->content = std::move(content);
  return ValueAccess::make(ValueKind::typed, std::move(node));
}

Value Value::make_shared(Anchor anchor, Value content) {
  require_anchor(anchor);
  auto node = std::make_shared<ValueAccess::Wrap>();
  node->anchor = std::move(anchor);
  node->height = above(ValueAccess::height(content));
  node->content = std::move(content);
  return ValueAccess::make(ValueKind::shared, std::move(node));
}

Value Value::make_reference(Anchor anchor) {
  require_anchor(anchor);
  auto node = std::make_shared<ValueAccess::Wrap>();
  node->anchor = std::move(anchor);
  return ValueAccess::make(ValueKind::reference, std::move(node));
}

// --- What one kind holds ---------------------------------------------------------------------------------------------

bool Value::boolean() const {
  require(*this, ValueKind::boolean);
  return bits_ != 0;
}

Number Value::number() const {
  if (!is_number()) {
    fail(Errc::type_mismatch, "expected a number, found a " + std::string(to_string(kind_)));
  }
  return {number_, bits_};
}

const std::string& Value::text() const& {
  require(*this, ValueKind::text);
  return ValueAccess::node<ValueAccess::Text>(*this).text;
}

Bytes Value::bytes() const& {
  require(*this, ValueKind::bytes);
  return std::as_bytes(std::span(ValueAccess::node<ValueAccess::Text>(*this).text));
}

const AnyArray& Value::array() const& {
  require(*this, ValueKind::array);
  return ValueAccess::node<ValueAccess::Array>(*this).held();
}

std::span<const Value> Value::items() const& {
  if (kind_ != ValueKind::record) {
    require(*this, ValueKind::sequence);
  }
  return ValueAccess::node<ValueAccess::Items>(*this).items;
}

std::span<const Value::Entry> Value::entries() const& {
  require(*this, ValueKind::map);
  return ValueAccess::node<ValueAccess::Map>(*this).entries;
}

Ordering Value::ordering() const {
  if (kind_ == ValueKind::map) {
    return ValueAccess::node<ValueAccess::Map>(*this).ordering;
  }
  require(*this, ValueKind::sequence);
  return ValueAccess::node<ValueAccess::Items>(*this).ordering;
}

std::span<const std::string_view> Value::names() const& {
  require(*this, ValueKind::record);
  return ValueAccess::node<ValueAccess::Items>(*this).layout->views;
}

std::uint32_t Value::version() const {
  require(*this, ValueKind::record);
  return ValueAccess::node<ValueAccess::Items>(*this).layout->version;
}

const std::string& Value::type_name() const& {
  require(*this, ValueKind::typed);
  return ValueAccess::node<ValueAccess::Wrap>(*this).name;
}

const Value& Value::content() const& {
  if (kind_ != ValueKind::typed) {
    require(*this, ValueKind::shared);
  }
  return ValueAccess::node<ValueAccess::Wrap>(*this).content;
}

Value::Anchor Value::anchor() const {
  if (kind_ != ValueKind::reference) {
    require(*this, ValueKind::shared);
  }
  return ValueAccess::node<ValueAccess::Wrap>(*this).anchor;
}

// --- Access ----------------------------------------------------------------------------------------------------------

const Value& Value::inside() const noexcept {
  const Value* value = this;
  while (value->kind_ == ValueKind::typed || value->kind_ == ValueKind::shared) {
    value = &ValueAccess::node<ValueAccess::Wrap>(*value).content;
  }
  return *value;
}

std::size_t Value::size() const noexcept {
  const Value& value = inside();
  switch (value.kind_) {
    case ValueKind::sequence:
    case ValueKind::record:
      return ValueAccess::node<ValueAccess::Items>(value).items.size();
    case ValueKind::map:
      return ValueAccess::node<ValueAccess::Map>(value).entries.size();
    default:
      return 0;
  }
}

const Value& Value::at(std::size_t index) const& {
  const Value& value = inside();
  if (index >= value.size()) {
    fail(Errc::not_found, "no item " + std::to_string(index) + " in a " + std::string(to_string(value.kind_)) + " of " +
                              std::to_string(value.size()));
  }
  return value.is_map() ? value.entries()[index].second : value.items()[index];
}

namespace {

/// Whether a value is a generic object (docs/format.md), whose members lie in its state and its entries.
bool is_object(const Value& value) noexcept {
  const Value* at = &value;
  while (at->is(ValueKind::shared)) {
    at = &at->content();
  }
  return at->is(ValueKind::typed) && at->type_name().starts_with(frozen::object_prefix) &&
         (at->content().is_record() || at->content().is_map());  // archives do not tell them apart
}

/// The member of a generic object whose record this is.
const Value* member_of(const Value& object, std::string_view name) noexcept {
  for (const std::string_view holder : frozen::object_members) {
    const Value* const members = object.find(holder);
    if (members == nullptr) {
      continue;
    }
    if (const Value* const member = members->find(name)) {
      return member;
    }
    const Value& inside = ValueAccess::inside(*members);  // the members and the slots of an object
    for (std::size_t i = 0; inside.is_sequence() && i < inside.size(); ++i) {
      if (const Value* const member = inside.items()[i].find(name)) {
        return member;
      }
    }
  }
  return nullptr;
}

}  // namespace

const Value* Value::find(std::string_view name) const& noexcept {
  const Value& value = inside();
  if (value.is_record()) {
    const auto& node = ValueAccess::node<ValueAccess::Items>(value);
    const auto& names = node.layout->views;
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) {
      return is_object(*this) ? member_of(value, name) : nullptr;
    }
    return &node.items[static_cast<std::size_t>(found - names.begin())];
  }
  if (value.is_map()) {
    for (const auto& [key, item] : ValueAccess::node<ValueAccess::Map>(value).entries) {
      if (key.is_text() && key.text() == name) {
        return &item;
      }
    }
    return is_object(*this) ? member_of(value, name) : nullptr;
  }
  return nullptr;
}

const Value& Value::operator[](std::string_view name) const& {
  const Value* found = find(name);
  if (found == nullptr) {
    fail(Errc::not_found, "no \"" + std::string(name) + "\" in a " + std::string(to_string(inside().kind_)));
  }
  return *found;
}

const Value& Value::at_path(std::string_view path) const& {
  Anchors anchors(*this);
  const auto through = [&](const Value& value) -> const Value& {
    const Value& found = value.inside();
    if (found.kind_ != ValueKind::reference) {
      return value;
    }
    const Value* target = anchors.find(found.anchor());
    if (target == nullptr) {
      fail(Errc::not_found, "the target of the reference is not in the value", {path, {}});
    }
    return *target;
  };
  const Value* value = this;
  for (const PathStep& step : split_path(path)) {
    const Value& met = through(*value);
    const Value& holder = met.inside();
    value = step.kind == PathStep::Kind::name && !holder.is_map() ? met.find(step.name) : nullptr;
    if (value == nullptr && holder.is_map()) {
      const auto entries = holder.entries();
      if (step.kind == PathStep::Kind::place) {
        value = step.index < entries.size() ? &entries[static_cast<std::size_t>(step.index)].second : nullptr;
      } else if (step.kind == PathStep::Kind::name) {
        const auto found =
            std::ranges::find_if(entries, [&](const Entry& entry) { return is_key(entry.first, step.name); });
        value = found != entries.end() ? &found->second : nullptr;
      }
    } else if (value == nullptr && holder.is_sequence() && step.kind == PathStep::Kind::name) {
      const std::string& name = step.name;
      std::size_t index = 0;
      const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
      const bool is_number = error == std::errc() && end == name.data() + name.size();
      if (is_number && (name.size() == 1 || name[0] != '0') && index < holder.size()) {
        value = &holder.items()[index];
      }
    }
    if (value == nullptr && step.kind == PathStep::Kind::name && is_object(met)) {
      value = member_of(holder, step.name);
    }
    if (value == nullptr) {
      fail(Errc::not_found,
           "no " +
               (step.kind == PathStep::Kind::name ? "\"" + step.name + "\"" : "place " + std::to_string(step.index)) +
               " in a " + std::string(to_string(holder.kind_)),
           {path, {}});
    }
  }
  return *value;
}

// --- Comparison ------------------------------------------------------------------------------------------------------

bool operator==(const Value& a, const Value& b) {
  std::vector<std::pair<const Value*, const Value*>> pending{{&a, &b}};
  std::unordered_map<const void*, const void*> left_to_right;  // anchors that refer to the same object
  std::unordered_map<const void*, const void*> right_to_left;
  while (!pending.empty()) {
    const auto [x, y] = pending.back();
    pending.pop_back();
    if (x->kind_ != y->kind_) {
      return false;
    }
    switch (x->kind_) {
      case ValueKind::null:
        break;
      case ValueKind::boolean:
      case ValueKind::integer:
      case ValueKind::real:
        if (x->number_ != y->number_ || x->bits_ != y->bits_) {
          return false;
        }
        break;
      case ValueKind::text:
      case ValueKind::bytes:
        if (ValueAccess::node<ValueAccess::Text>(*x).text != ValueAccess::node<ValueAccess::Text>(*y).text) {
          return false;
        }
        break;
      case ValueKind::array:
        if (!(x->array() == y->array())) {
          return false;
        }
        break;
      case ValueKind::record:
        if (x->version() != y->version() || !std::ranges::equal(x->names(), y->names())) {
          return false;
        }
        [[fallthrough]];
      case ValueKind::sequence:
        if (x->size() != y->size()) {
          return false;
        }
        for (std::size_t i = 0; i < x->size(); ++i) {
          pending.emplace_back(&x->items()[i], &y->items()[i]);
        }
        break;
      case ValueKind::map:
        if (x->size() != y->size()) {
          return false;
        }
        for (std::size_t i = 0; i < x->size(); ++i) {
          pending.emplace_back(&x->entries()[i].first, &y->entries()[i].first);
          pending.emplace_back(&x->entries()[i].second, &y->entries()[i].second);
        }
        break;
      case ValueKind::typed:
        if (x->type_name() != y->type_name()) {
          return false;
        }
        pending.emplace_back(&x->content(), &y->content());
        break;
      case ValueKind::shared:
        pending.emplace_back(&x->content(), &y->content());
        [[fallthrough]];
      case ValueKind::reference: {
        const void* left = x->anchor().get();
        const void* right = y->anchor().get();
        if (left_to_right.try_emplace(left, right).first->second != right ||
            right_to_left.try_emplace(right, left).first->second != left) {
          return false;
        }
        break;
      }
    }
  }
  return true;
}

}  // namespace stele

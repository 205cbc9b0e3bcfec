#include "interop/pickle/read/tree.hpp"

#include <algorithm>
#include <iterator>

#include "interop/pickle/read/window.hpp"
#include "stele/error.hpp"

namespace stele::pickle {
namespace {

constexpr std::size_t small_text = 64;  // bytes; shorter ones are repeated

}  // namespace

Object::~Object() {
  std::vector<Value> values;
  Object::give(values);
  ValueAccess::take_apart(std::move(values));
}

void Object::give(std::vector<Value>& values) {
  for (Value* const value : {&callable, &args, &kwargs, &finished}) {
    if (!value->is_null()) {
      values.push_back(std::move(*value));
    }
  }
  for (std::vector<Value>* const list : {&states, &items}) {
    std::move(list->begin(), list->end(), std::back_inserter(values));
    list->clear();
  }
  for (auto& [key, value] : entries) {
    values.push_back(std::move(key));
    values.push_back(std::move(value));
  }
  entries.clear();
}

/// Sets are ordered as they are in the file: archives do not keep that a sequence is unordered either, and what comes
/// from both has one hash.
Value new_items(ValueKind kind, std::vector<Value> items) {
  auto node = new_node<Items>();
  node->items = std::move(items);
  return ValueAccess::make(kind, std::move(node));
}

Value new_dict(std::vector<Value::Entry> entries) {
  auto node = new_node<Map>();
  node->entries = std::move(entries);
  return ValueAccess::make(ValueKind::map, std::move(node));
}

Value new_text(ValueKind kind, std::string_view text) {
  auto node = std::make_shared<Text>();
  node->text.assign(text);
  return ValueAccess::make(kind, std::move(node));
}

Value new_object(Value callable, Value args) {
  auto node = new_node<Object>();
  node->callable = std::move(callable);
  node->args = std::move(args);
  return ValueAccess::make(part::object, std::move(node));
}

std::string_view callable_name(const Object& object) noexcept {
  return object.callable.is(part::global) ? std::string_view(node_of<Global>(object.callable).name)
                                          : std::string_view();
}

Known known(const Value& value) noexcept { return value.is(part::global) ? node_of<Global>(value).known : Known::no; }

Known known_callable(const Value& value) noexcept {
  return value.is(part::object) && !node_of<Object>(value).has_finished ? known(node_of<Object>(value).callable)
                                                                        : Known::no;
}

bool is_string(const Value& value) noexcept {
  return value.is_text() || value.is(ValueKind::bytes) || value.is(part::data) || value.is(part::byte_array);
}

std::string_view string_of(const Value& value) noexcept {
  if (value.is_text() || value.is(ValueKind::bytes)) {
    return node_of<Text>(value).text;
  }
  const Buffer& buffer = *node_of<Data>(value).buffer;
  return {reinterpret_cast<const char*>(buffer.data()), buffer.size()};
}

const Value* entry(const Value& dict, std::string_view key) noexcept {
  for (const auto& [name, value] : node_of<Map>(dict).entries) {
    if (name.is_text() && string_of(name) == key) {
      return &value;
    }
  }
  return nullptr;
}

// --- Marks -----------------------------------------------------------------------------------------------------------

bool can_be_shared(const Value& value) noexcept {
  switch (code(value.kind())) {
    case code(ValueKind::text):
    case code(ValueKind::bytes):
      return node_of<Text>(value).text.size() >= small_text;
    case code(part::tuple):
      return !items_of(value).empty();
    case code(ValueKind::sequence):
    case code(ValueKind::map):
    case code(part::set):
    case code(part::frozen_set):
    case code(part::data):
    case code(part::byte_array):
    case code(part::object):
      return true;
    default:
      return false;
  }
}

void Budget::charge(std::uint64_t bytes) {
  constexpr std::uint64_t factor = 64;
  constexpr std::uint64_t free = std::uint64_t{1} << 20;
  used_ += std::min(bytes, UINT64_MAX - used_);
  if (used_ > free && (used_ - free) / factor > window_.position()) {
    fail(Errc::limit_exceeded, "the pickle copies much more than it holds");
  }
}

void Budget::charge_view(std::uint64_t bytes) {
  constexpr std::uint64_t factor = 1000;
  constexpr std::uint64_t free = std::uint64_t{1} << 30;
  viewed_ += std::min(bytes, UINT64_MAX - viewed_);
  if (viewed_ > free && (viewed_ - free) / factor > window_.position() + beside_) {
    fail(Errc::limit_exceeded, "the tensors have many more elements than their storages");
  }
}

void Budget::use_once(const std::string& path) {
  if (!files_.insert(path).second) {
    fail(Errc::malformed, "two arrays in one companion file");
  }
}

Marks::~Marks() {
  std::vector<Value> values;
  for (auto& [node, mark] : marks_) {
    const_cast<Node&>(*mark.node).give(values);
  }
  ValueAccess::take_apart(std::move(values));
}

void Marks::release() {
  std::erase_if(marks_, [](const auto& mark) { return mark.second.places > 0; });
}

void Marks::mark(const Value& value) {
  std::vector<const Value*> pending{&value};
  while (!pending.empty()) {
    const Value& next = *pending.back();
    pending.pop_back();
    if (!can_be_shared(next)) {
      continue;
    }
    std::shared_ptr<const Node> node = ValueAccess::shared_node(next);
    const Node* const key = node.get();
    if (marks_.try_emplace(key, Mark{std::move(node), 0, {}}).second && next.is(part::tuple)) {
      // The arguments of a call become a sequence of their own, so that its items are in two places.
      for (const Value& item : items_of(next)) {
        pending.push_back(&item);
      }
    }
  }
}

Marks::Mark* Marks::find(const Value& value) noexcept {
  const auto found = marks_.find(ValueAccess::shared_node(value).get());
  return found == marks_.end() ? nullptr : &found->second;
}

}  // namespace stele::pickle

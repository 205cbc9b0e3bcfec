// What the machine makes of names, calls and instances.

#include <algorithm>

#include "interop/pickle/joblib/wrapper.hpp"
#include "interop/pickle/numpy/numpy.hpp"
#include "interop/pickle/read/calls.hpp"
#include "interop/pickle/read/machine.hpp"
#include "interop/torch/torch.hpp"
#include "stele/error.hpp"

namespace stele::pickle {
namespace {

/// A copy of a persistent id for a hook, which may keep it.
Value persistent_id(const Value& id, int depth, Budget& budget) {
  constexpr std::size_t most_parts = 32;
  if (id.is(part::global)) {
    return Value::make_typed("py:global", Value(node_of<Global>(id).name));
  }
  if (id.is(part::tuple) && depth < 3 && items_of(id).size() <= most_parts) {
    budget.charge_items(items_of(id).size());
    std::vector<Value> parts;
    for (const Value& item : items_of(id)) {
      parts.push_back(persistent_id(item, depth + 1, budget));
    }
    return Value::make_typed("py:tuple", Value::make_sequence(std::move(parts)));
  }
  if (id.kind() > ValueKind::bytes) {
    fail(Errc::unsupported, "a persistent id that is neither text nor a number nor a short tuple of such");
  }
  return id;
}

/// The storage in bytes that torch.save() made of it; nothing for other bytes.
std::optional<Value> read_inner_torch(const Value& args, const Machine::Input& input, Marks& marks) {
  constexpr unsigned deepest = 2;
  const std::vector<Value>& items = items_of(args);
  if (items.size() != 1 || !is_string(items[0]) || input.options.inside >= deepest) {
    return std::nullopt;
  }
  const Bytes bytes = std::as_bytes(std::span(string_of(items[0])));
  if (!may_be_old_torch(bytes.first(std::min(bytes.size(), Formats::first_bytes)))) {
    return std::nullopt;
  }
  marks.budget().charge(bytes.size());
  const std::unique_ptr<Source> source = memory_source(bytes);
  Value storage = read_old_torch({*source, nullptr, {}, input.file.options}, input.options.inside + 1);
  return storage.is_array() ? std::optional(std::move(storage)) : std::nullopt;
}

}  // namespace

void Machine::push_global(std::string_view module, std::string_view name) {
  constexpr std::size_t usual = 256;  // longer names may be copies of a text in the memo
  marks_.budget().charge(module.size() + name.size() > usual ? module.size() + name.size() : 0);
  Value value = new_global(module, name);
  if (input_.listener != nullptr) {
    input_.listener->refer(node_of<Global>(value).name, opcode_at_);
  }
  push(std::move(value));
}

void Machine::push_extension(std::uint32_t code) {
  if (input_.listener != nullptr) {
    input_.listener->refer("extension " + std::to_string(code), opcode_at_);
  }
  push(Value::make_typed("py:extension", Value(code)));
}

void Machine::call(Value callable, Value args) {
  if (!args.is(part::tuple)) {
    fail(Errc::malformed, "a call whose arguments are no tuple");
  }
  const Known what = known(callable);
  const std::vector<Value>& items = items_of(args);
  if (what == Known::new_object && !items.empty()) {
    marks_.budget().charge_items(items.size());
    Value rest = new_items(part::tuple, {items.begin() + 1, items.end()});
    std::for_each(items.begin(), items.end(), [&](const Value& item) { marks_.mark(item); });
    return make_new(items[0], std::move(rest), {});
  }
  if (what == Known::new_object_ex && items.size() == 3) {
    std::for_each(items.begin(), items.end(), [&](const Value& item) { marks_.mark(item); });
    return make_new(items[0], items[1], items[2]);
  }
  if (input_.listener == nullptr) {
    if (std::optional<Value> plain = plain_call(what, items, marks_)) {
      if (what == Known::from_buffer) {  // an object that others may refer to
        Value array = new_object({}, {});
        node_of<Object>(array).finished = *std::move(plain);
        node_of<Object>(array).has_finished = true;
        return push(std::move(array));
      }
      return push(*std::move(plain));
    }
  }
  if (what == Known::torch_file && input_.listener == nullptr) {
    if (std::optional<Value> storage = read_inner_torch(args, input_, marks_)) {
      return push(*std::move(storage));
    }
  }
  push(new_object(std::move(callable), std::move(args)));
}

void Machine::make_new(Value type, Value args, Value kwargs) {
  if (!args.is(part::tuple) || !(kwargs.is_null() || kwargs.is_map())) {
    fail(Errc::malformed, "an instance whose arguments are no tuple and dict");
  }
  Value value = new_object(std::move(type), std::move(args));
  Object& object = node_of<Object>(value);
  object.is_new = true;
  object.kwargs = std::move(kwargs);
  push(std::move(value));
}

void Machine::build(Value state) {
  const Value target = top();
  if (!target.is(part::object) || node_of<Object>(target).has_finished || node_of<Object>(target).is_persistent) {
    if (input_.listener != nullptr) {  // what is not an object there because calls are not looked at
      return;
    }
    fail(Errc::malformed, "a state for what is not an instance");
  }
  Object& object = node_of<Object>(target);
  const Known what = known(object.callable);
  if (input_.listener == nullptr && object.states.empty()) {
    if (what == Known::reconstruct) {
      if (std::optional<Value> array = built_array(object, state, marks_)) {
        object.callable = object.args = {};
        object.finished = *std::move(array);
        object.has_finished = true;
        return;
      }
    }
    if (what == Known::reconstruct || what == Known::reconstruct_masked) {
      if (std::optional<Value> with = with_array(state, marks_.budget())) {
        state = *std::move(with);
      }
    }
  }
  object.states.push_back(std::move(state));
  if (input_.has_wrappers && is_wrapper(object)) {
    build_wrapper(object);
  }
}

void Machine::build_wrapper(Object& object) {
  if (window_.position() < frame_end_) {
    fail(Errc::malformed, "an array of joblib within a frame");
  }
  Value array = read_wrapped(object, input_, marks_);
  // The memo keeps the wrapper, which nothing refers to.
  stack_.back() = std::move(array);
}

void Machine::push_persistent(Value id) {
  if (input_.listener == nullptr && input_.options.persistent) {
    auto node = std::make_shared<Given>();
    node->value = input_.options.persistent(persistent_id(id, 0, marks_.budget()));
    return push(ValueAccess::make(part::given, std::move(node)));
  }
  Value value = new_object({}, std::move(id));
  node_of<Object>(value).is_persistent = true;
  push(std::move(value));
}

void Machine::push_buffer() {
  if (input_.listener != nullptr) {
    return push(nullptr);
  }
  if (next_buffer_ >= input_.options.buffers.size()) {
    fail(Errc::unsupported,
         "the pickle refers to the out-of-band buffer " + std::to_string(next_buffer_) + ", which was not given");
  }
  push(input_.options.buffers[next_buffer_++]);
}

}  // namespace stele::pickle

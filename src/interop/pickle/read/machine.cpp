#include "interop/pickle/read/machine.hpp"

#include <algorithm>
#include <bit>
#include <iterator>

#include "base/bytes.hpp"
#include "interop/pickle/joblib/wrapper.hpp"
#include "interop/pickle/read/literals.hpp"
#include "stele/error.hpp"

namespace stele::pickle {
namespace {

constexpr unsigned highest_protocol = 5;
constexpr std::uint64_t large_bytes = 4096;  // which may become an array in place

[[noreturn]] void fail_opcode(Opcode opcode, const char* why) {
  static constexpr std::string_view digits = "0123456789abcdef";
  const auto code = static_cast<unsigned>(opcode);
  fail(Errc::malformed, std::string("the opcode 0x") + digits[code >> 4] + digits[code & 15] + " " + why);
}

template <class T>
T load(Window& window) {
  return load_le<T>(window.take(sizeof(T)));
}

std::uint64_t index_line(std::string_view line) {
  const Value index = integer_line(line, false);
  if (!index.is(ValueKind::integer) || index.number().type != Number::Type::natural) {
    fail(Errc::malformed, "an index of the memo that is not a natural number");
  }
  return index.number().bits;
}

}  // namespace

Machine::Machine(const Input& input)
    : input_(input),
      window_(input.window),
      empty_tuple_(new_items(part::tuple, {})),
      marks_(input.window, input.options.persistent_bytes) {}

Value Machine::run() {
  try {
    for (;;) {
      opcode_at_ = window_.position();
      const auto opcode = static_cast<Opcode>(window_.byte());
      if (opcode == Opcode::stop) {
        break;
      }
      step(opcode);
    }
    Value tree = pop();
    if (window_.position() < frame_end_) {
      fail(Errc::malformed, "a pickle that ends within a frame");
    }
    stack_.clear();
    memo_.clear();
    sparse_memo_.clear();
    return input_.listener != nullptr ? Value() : finish(std::move(tree), marks_, input_.file.options.limits.depth);
  } catch (const Error& error) {
    rethrow_at(error, {.offset = opcode_at_});
  }
}

void Machine::step(Opcode opcode) {
  switch (opcode) {
    // The most frequent ones first.
    case Opcode::memoize:
      return put(memo_count_);
    case Opcode::bin_put:
      return put(std::to_integer<std::uint64_t>(window_.byte()));
    case Opcode::long_bin_put:
      return put(load<std::uint32_t>(window_));
    case Opcode::bin_get:
      return push(get(std::to_integer<std::uint64_t>(window_.byte())));
    case Opcode::long_bin_get:
      return push(get(load<std::uint32_t>(window_)));
    case Opcode::bin_real:
      return push(std::bit_cast<double>(load_be<std::uint64_t>(window_.take(8))));
    case Opcode::short_bin_unicode:
      return push(read_text(std::to_integer<std::uint64_t>(window_.byte()), false));
    case Opcode::bin_unicode:
      return push(read_text(load<std::uint32_t>(window_), false));
    case Opcode::bin_integer1:
      return push(std::to_integer<std::uint64_t>(window_.byte()));
    case Opcode::bin_integer2:
      return push(load<std::uint16_t>(window_));
    case Opcode::bin_integer4:
      return push(load<std::int32_t>(window_));
    case Opcode::none:
      return push(nullptr);
    case Opcode::new_true:
      return push(true);
    case Opcode::new_false:
      return push(false);
    case Opcode::mark:
      return marks_on_stack_.push_back(stack_.size());
    default:
      return step_containers(opcode);
  }
}

void Machine::step_containers(Opcode opcode) {
  switch (opcode) {
    case Opcode::append:
      require(2);
      return append_from(stack_.size() - 1);
    case Opcode::appends:
      return append_from(pop_mark());
    case Opcode::set_item:
      require(3);
      return set_from(stack_.size() - 2);
    case Opcode::set_items:
      return set_from(pop_mark());
    case Opcode::add_items:
      return add_from(pop_mark());
    case Opcode::empty_list:
      return push(new_items(ValueKind::sequence, {}));
    case Opcode::list:
      return push(new_items(ValueKind::sequence, take_from(pop_mark())));
    case Opcode::empty_dict:
      return push(new_dict({}));
    case Opcode::dict: {
      const std::size_t place = pop_mark();
      stack_.insert(stack_.begin() + static_cast<std::ptrdiff_t>(place), new_dict({}));
      return set_from(place + 1);
    }
    case Opcode::empty_tuple:
      return push(empty_tuple_);
    case Opcode::tuple:
      return push_tuple(take_from(pop_mark()));
    case Opcode::tuple1:
    case Opcode::tuple2:
    case Opcode::tuple3: {
      const std::size_t count = static_cast<std::size_t>(opcode) - static_cast<std::size_t>(Opcode::tuple1) + 1;
      require(count);
      return push_tuple(take_from(stack_.size() - count));
    }
    case Opcode::empty_set:
      return push(new_items(part::set, {}));
    case Opcode::frozen_set:
      return push(new_items(part::frozen_set, take_from(pop_mark())));
    default:
      return step_objects(opcode);
  }
}

void Machine::step_objects(Opcode opcode) {
  switch (opcode) {
    case Opcode::global: {
      scratch_ = window_.line();
      return push_global(scratch_, window_.line());
    }
    case Opcode::stack_global: {
      const Value name = pop();
      const Value module = pop();
      if (!name.is_text() || !module.is_text()) {
        fail_opcode(opcode, "without two texts");
      }
      return push_global(string_of(module), string_of(name));
    }
    case Opcode::extension1:
      return push_extension(std::to_integer<std::uint32_t>(window_.byte()));
    case Opcode::extension2:
      return push_extension(load<std::uint16_t>(window_));
    case Opcode::extension4:
      return push_extension(load<std::uint32_t>(window_));
    case Opcode::reduce: {
      Value args = pop();
      Value callable = pop();
      return call(std::move(callable), std::move(args));
    }
    case Opcode::inst: {
      scratch_ = window_.line();
      push_global(scratch_, window_.line());
      Value type = pop();
      Value args = new_items(part::tuple, take_from(pop_mark()));
      return call(std::move(type), std::move(args));
    }
    case Opcode::obj: {
      std::vector<Value> items = take_from(pop_mark());
      if (items.empty()) {
        fail_opcode(opcode, "without a class");
      }
      Value type = std::move(items.front());
      items.erase(items.begin());
      return call(std::move(type), new_items(part::tuple, std::move(items)));
    }
    case Opcode::new_object: {
      Value args = pop();
      Value type = pop();
      return make_new(std::move(type), std::move(args), {});
    }
    case Opcode::new_object_ex: {
      Value kwargs = pop();
      Value args = pop();
      Value type = pop();
      return make_new(std::move(type), std::move(args), std::move(kwargs));
    }
    case Opcode::build:
      return build(pop());
    case Opcode::persistent_line: {
      const std::string_view line = window_.line();
      return push_persistent(text_value(line));
    }
    case Opcode::persistent:
      return push_persistent(pop());
    default:
      return step_memo(opcode);
  }
}

void Machine::step_memo(Opcode opcode) {
  switch (opcode) {
    case Opcode::put:
      return put(index_line(window_.line()));
    case Opcode::get:
      return push(get(index_line(window_.line())));
    case Opcode::pop:
      if (stack_.size() == floor() && !marks_on_stack_.empty()) {
        marks_on_stack_.pop_back();
        return;
      }
      static_cast<void>(pop());
      return;
    case Opcode::pop_mark:
      static_cast<void>(take_from(pop_mark()));
      return;
    case Opcode::dup: {
      marks_.mark(top());
      Value copy = top();
      return push(std::move(copy));
    }
    case Opcode::protocol:
      if (const auto version = std::to_integer<unsigned>(window_.byte()); version > highest_protocol) {
        fail(Errc::unsupported, "a pickle of protocol " + std::to_string(version));
      }
      return;
    case Opcode::frame: {
      const auto size = load<std::uint64_t>(window_);
      if (window_.position() < frame_end_) {
        fail_opcode(opcode, "within a frame");
      }
      const auto end = checked_add(window_.position(), size);
      if (!end || (window_.rest() && size > *window_.rest())) {
        fail(Errc::truncated, "a frame of " + std::to_string(size) + " bytes is not all there");
      }
      frame_end_ = *end;
      return;
    }
    default:
      return step_data(opcode);
  }
}

void Machine::step_data(Opcode opcode) {
  switch (opcode) {
    case Opcode::long1:
    case Opcode::long4: {
      const std::uint64_t size = load_length(opcode == Opcode::long1 ? 1 : 4);
      std::string bytes;
      window_.append_to(bytes, size);
      return push(integer_value(std::as_bytes(std::span(bytes))));
    }
    case Opcode::bin_unicode8:
      return push(read_text(load_length(8), false));
    case Opcode::short_bin_string:
      return push(read_text(load_length(1), true));
    case Opcode::bin_string:
      return push(read_text(load_length(4), true));
    case Opcode::short_bin_bytes:
      return push(read_bytes(load_length(1), ValueKind::bytes));
    case Opcode::bin_bytes:
      return push(read_bytes(load_length(4), ValueKind::bytes));
    case Opcode::bin_bytes8:
      return push(read_bytes(load_length(8), ValueKind::bytes));
    case Opcode::byte_array8:
      return push(read_bytes(load_length(8), part::byte_array));
    case Opcode::next_buffer:
      return push_buffer();
    case Opcode::readonly_buffer:  // a view of the buffer, which nothing changes here
      static_cast<void>(top());
      return;
    default:
      return step_text(opcode);
  }
}

void Machine::step_text(Opcode opcode) {
  switch (opcode) {
    case Opcode::integer:
      return push(integer_line(window_.line(), true));
    case Opcode::big_integer:
      return push(integer_line(window_.line(), false));
    case Opcode::real:
      return push(real_line(window_.line()));
    case Opcode::string:
      return push(string_line(window_.line()));
    case Opcode::unicode:
      return push(unicode_line(window_.line()));
    default:
      fail_opcode(opcode, "is unknown");
  }
}

// --- The stack -------------------------------------------------------------------------------------------------------

void Machine::require(std::size_t count) const {
  if (stack_.size() - floor() < count) {
    fail(Errc::malformed, "an opcode that needs more than lies on the stack");
  }
}

Value Machine::pop() {
  require(1);
  Value value = std::move(stack_.back());
  stack_.pop_back();
  return value;
}

std::size_t Machine::pop_mark() {
  if (marks_on_stack_.empty()) {
    fail(Errc::malformed, "an opcode that needs a mark, which the stack lacks");
  }
  const std::size_t place = marks_on_stack_.back();
  marks_on_stack_.pop_back();
  return place;
}

std::vector<Value> Machine::take_from(std::size_t place) {
  const auto first = stack_.begin() + static_cast<std::ptrdiff_t>(place);
  std::vector<Value> items(std::make_move_iterator(first), std::make_move_iterator(stack_.end()));
  stack_.erase(first, stack_.end());
  return items;
}

void Machine::push_tuple(std::vector<Value> items) {
  push(items.empty() ? empty_tuple_ : new_items(part::tuple, std::move(items)));
}

// --- Containers ------------------------------------------------------------------------------------------------------

void Machine::append_from(std::size_t place) {
  if (place == floor()) {
    fail(Errc::malformed, "items without a list");
  }
  Value& target = stack_[place - 1];
  if (!target.is(ValueKind::sequence) && (!target.is(part::object) || node_of<Object>(target).has_finished)) {
    fail(Errc::malformed, "items for what is no list");
  }
  std::vector<Value>& items = target.is(part::object) ? node_of<Object>(target).items : items_of(target);
  const auto first = stack_.begin() + static_cast<std::ptrdiff_t>(place);
  if (input_.listener == nullptr || items.size() < most_kept) {
    std::move(first, stack_.end(), std::back_inserter(items));
  }
  stack_.erase(first, stack_.end());
}

void Machine::set_from(std::size_t place) {
  if (place == floor()) {
    fail(Errc::malformed, "entries without a dict");
  }
  if ((stack_.size() - place) % 2 != 0) {
    fail(Errc::malformed, "a key without a value");
  }
  Value& target = stack_[place - 1];
  if (!target.is_map() && (!target.is(part::object) || node_of<Object>(target).has_finished)) {
    fail(Errc::malformed, "entries for what is no dict");
  }
  std::vector<Value::Entry>& entries =
      target.is(part::object) ? node_of<Object>(target).entries : node_of<Map>(target).entries;
  if (input_.listener == nullptr || entries.size() < most_kept) {
    for (std::size_t i = place; i < stack_.size(); i += 2) {
      entries.emplace_back(std::move(stack_[i]), std::move(stack_[i + 1]));
    }
  }
  stack_.erase(stack_.begin() + static_cast<std::ptrdiff_t>(place), stack_.end());
}

void Machine::add_from(std::size_t place) {
  if (place == floor()) {
    fail(Errc::malformed, "items without a set");
  }
  Value& target = stack_[place - 1];
  if (!target.is(part::set) && (!target.is(part::object) || node_of<Object>(target).has_finished)) {
    fail(Errc::malformed, "items for what is no set");
  }
  std::vector<Value>& items = target.is(part::object) ? node_of<Object>(target).items : items_of(target);
  const auto first = stack_.begin() + static_cast<std::ptrdiff_t>(place);
  if (input_.listener == nullptr || items.size() < most_kept) {
    std::move(first, stack_.end(), std::back_inserter(items));
  }
  stack_.erase(first, stack_.end());
}

// --- The memo --------------------------------------------------------------------------------------------------------

void Machine::put(std::uint64_t index) {
  const Value& value = top();
  if (index < memo_.size() && memo_is_set_[static_cast<std::size_t>(index)]) {
    memo_[static_cast<std::size_t>(index)] = value;
    return;
  }
  if (index == memo_.size()) {
    memo_.push_back(value);
    memo_is_set_.push_back(true);
  } else if (index <= 2 * memo_count_ + 1024) {  // indices may begin at 1, or be left out
    if (index > memo_.size()) {
      memo_.resize(static_cast<std::size_t>(index) + 1);
      memo_is_set_.resize(memo_.size());
    }
    memo_[static_cast<std::size_t>(index)] = value;
    memo_is_set_[static_cast<std::size_t>(index)] = true;
  } else {
    const bool is_new = sparse_memo_.insert_or_assign(index, value).second;
    memo_count_ += is_new ? 1 : 0;
    return;
  }
  ++memo_count_;
}

const Value& Machine::get(std::uint64_t index) {
  const Value* found = nullptr;
  if (index < memo_.size() && memo_is_set_[static_cast<std::size_t>(index)]) {
    found = &memo_[static_cast<std::size_t>(index)];
  } else if (const auto sparse = sparse_memo_.find(index); sparse != sparse_memo_.end()) {
    found = &sparse->second;
  } else {
    fail(Errc::malformed, "an entry of the memo that was not put there: " + std::to_string(index));
  }
  marks_.mark(*found);
  return *found;
}

// --- Data ------------------------------------------------------------------------------------------------------------

std::uint64_t Machine::load_length(std::size_t width) { return load_le(window_.take(width), width); }

Value Machine::read_text(std::uint64_t size, bool is_old) {
  window_.expect(size);
  const auto make = [&](std::string_view text) { return is_old ? old_string_value(text) : text_value(text); };
  if (size <= Window::largest_piece) {
    const auto count = static_cast<std::size_t>(size);
    return make({reinterpret_cast<const char*>(window_.take(count)), count});
  }
  if (input_.listener != nullptr) {
    window_.skip(size);
    return make("");
  }
  scratch_.clear();
  window_.append_to(scratch_, size);
  return make(scratch_);
}

Value Machine::read_bytes(std::uint64_t size, ValueKind kind) {
  window_.expect(size);
  if (kind == ValueKind::bytes && size < large_bytes) {
    const auto count = static_cast<std::size_t>(size);
    return new_text(kind, {reinterpret_cast<const char*>(window_.take(count)), count});
  }
  auto node = new_node<Data>();
  if (input_.listener != nullptr) {
    window_.skip(size);
    node->buffer = Buffer::allocate(0);
  } else {
    node->buffer = window_.buffer(size);
  }
  return ValueAccess::make(kind == ValueKind::bytes ? part::data : kind, std::move(node));
}

}  // namespace stele::pickle

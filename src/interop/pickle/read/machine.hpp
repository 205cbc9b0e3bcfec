#pragma once
// The pickle machine: runs the opcodes of one pickle and builds a tree of what they describe. It calls nothing.

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "interop/neighbour.hpp"
#include "interop/pickle/pickle.hpp"
#include "interop/pickle/read/opcodes.hpp"
#include "interop/pickle/read/tree.hpp"
#include "interop/pickle/read/window.hpp"

namespace stele::pickle {

/// Is told of the classes and functions that a pickle names.
class Listener {
 public:
  virtual ~Listener() = default;
  /// A name, "module.qualname", or an extension code; `offset` is that of the opcode.
  virtual void refer(std::string_view name, std::uint64_t offset) = 0;
};

class Machine {
 public:
  /// What the machine reads, all of which must outlive it.
  struct Input {
    Window& window;
    const Neighbour& file;
    const PickleOptions& options;
    /// Set where only the names count: then arrays are skipped and long containers are not kept.
    Listener* listener = nullptr;
    /// Whether joblib's array wrappers are followed by elements. Not in a pickle inside another.
    bool has_wrappers = true;
  };
  explicit Machine(const Input& input);

  /// Runs up to STOP and returns the finished Value; null with a listener.
  Value run();

 private:
  static constexpr std::size_t most_kept = 64;  // items of a container, with a listener

  void step(Opcode opcode);
  void step_text(Opcode opcode);
  void step_data(Opcode opcode);
  void step_containers(Opcode opcode);
  void step_objects(Opcode opcode);
  void step_memo(Opcode opcode);

  // The stack, above the last mark.
  std::size_t floor() const noexcept { return marks_on_stack_.empty() ? 0 : marks_on_stack_.back(); }
  void require(std::size_t count) const;
  Value& top() {
    require(1);
    return stack_.back();
  }
  Value pop();
  /// Takes the last mark; what lay above it are the items from the returned place on.
  std::size_t pop_mark();
  std::vector<Value> take_from(std::size_t place);
  template <class V>
  void push(V&& value) {
    stack_.emplace_back(std::forward<V>(value));
  }
  void push_tuple(std::vector<Value> items);

  // Containers.
  void append_from(std::size_t place);
  void set_from(std::size_t place);
  void add_from(std::size_t place);

  // Names, calls and instances.
  void push_global(std::string_view module, std::string_view name);
  void push_extension(std::uint32_t code);
  void call(Value callable, Value args);
  void make_new(Value type, Value args, Value kwargs);
  void build(Value state);
  void build_wrapper(Object& object);
  void push_persistent(Value id);
  void push_buffer();

  // The memo.
  void put(std::uint64_t index);
  const Value& get(std::uint64_t index);

  // Data.
  Value read_bytes(std::uint64_t size, ValueKind kind);
  Value read_text(std::uint64_t size, bool is_old);
  std::uint64_t load_length(std::size_t width);

  const Input input_;
  Window& window_;
  std::vector<Value> stack_;
  std::vector<std::size_t> marks_on_stack_;
  std::vector<Value> memo_;
  std::vector<bool> memo_is_set_;
  std::unordered_map<std::uint64_t, Value> sparse_memo_;  // indices far beyond the number of entries
  std::uint64_t memo_count_ = 0;
  const Value empty_tuple_;
  std::uint64_t opcode_at_ = 0;
  std::uint64_t frame_end_ = 0;
  std::size_t next_buffer_ = 0;
  std::string scratch_;
  Marks marks_;  // the last, so that it breaks cycles first
};

}  // namespace stele::pickle

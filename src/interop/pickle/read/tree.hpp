#pragma once
// The tree while a pickle builds it. Leaves are finished Values. Lists, dicts and the like are nodes of a Value that
// still grow; what has no Value yet is of a kind that only this folder knows. finish() makes the Values of them.
//
// A pickle memoizes nearly all that it makes, and looks up little. So nothing is shared until it is looked up: Marks
// remembers what a pickle took a second time, and only those become shared values and references.

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "archive/value/nodes.hpp"
#include "stele/array.hpp"
#include "stele/value.hpp"

namespace stele::pickle {

struct NumpyType;

using Node = ValueAccess::Node;
using Items = ValueAccess::Items;
using Map = ValueAccess::Map;
using Text = ValueAccess::Text;

/// The kinds of what is not finished. Such a Value never leaves this folder.
namespace part {
inline constexpr auto tuple = static_cast<ValueKind>(64);       // Items
inline constexpr auto set = static_cast<ValueKind>(65);         // Items
inline constexpr auto frozen_set = static_cast<ValueKind>(66);  // Items
inline constexpr auto data = static_cast<ValueKind>(67);        // Data: bytes
inline constexpr auto byte_array = static_cast<ValueKind>(68);  // Data
inline constexpr auto global = static_cast<ValueKind>(69);      // Global
inline constexpr auto object = static_cast<ValueKind>(70);      // Object
inline constexpr auto given = static_cast<ValueKind>(71);       // Given
}  // namespace part

/// What of Python's and NumPy's own is recognised by name.
enum class Known : std::uint8_t {
  no,
  set,
  frozen_set,
  bytes,
  byte_array,
  complex,
  encode,         // _codecs.encode
  new_object,     // copyreg.__newobj__
  new_object_ex,  // copyreg.__newobj_ex__
  reconstructor,  // copyreg._reconstructor
  dtype,
  scalar,
  from_buffer,
  reconstruct,         // an ndarray or a subclass
  reconstruct_masked,  // numpy.ma
  ndarray,             // the class; memmap counts as one
  array_wrapper,       // of joblib: the elements follow
  file_wrapper,        // of joblib before 0.10: a companion .npy file
  zfile_wrapper,       // of joblib before 0.10: a companion Z-file
  tensor,              // torch._utils._rebuild_tensor and its later forms
  tensor_v2,
  tensor_v3,
  parameter,
  tensor_size,
  torch_file,  // bytes that torch.save() made of a storage
};

/// A kind as a number: a switch over both sorts needs one.
constexpr int code(ValueKind kind) noexcept { return static_cast<int>(kind); }

/// Large bytes, which may become the elements of an array.
struct Data final : Node {
  std::shared_ptr<Buffer> buffer;
  bool taken = false;  // by an array
};

struct Global final : Node {
  std::string name;  // "module.qualname"
  Known known = Known::no;
  Value finished;  // once it has been made
};

/// What a call or an instance holds.
struct Object final : Node {
  ~Object() override;
  void give(std::vector<Value>& values) override;
  Value callable;
  Value args;    // a tuple
  Value kwargs;  // a dict, or null
  std::vector<Value> states;
  std::vector<Value> items;
  std::vector<Value::Entry> entries;
  Value finished;                         // what stands for the object, once it is known; the rest is then empty
  std::shared_ptr<const NumpyType> type;  // of a dtype of a known form, once asked for
  bool is_type_known = false;             // whether it has been asked for
  bool is_new = false;
  bool is_persistent = false;  // args are the id
  bool has_finished = false;
};

/// A finished Value that must not be changed.
struct Given final : Node {
  Value value;
};

/// The mutable node of a Value of the tree.
template <class N>
N& node_of(const Value& value) noexcept {
  return const_cast<N&>(ValueAccess::node<N>(value));
}
template <class N>
std::shared_ptr<N> new_node() {
  auto node = std::make_shared<N>();
  node->height = UINT32_MAX;  // unknown; it is destroyed in a loop
  return node;
}
inline bool is_container(ValueKind kind) noexcept {
  return kind == ValueKind::sequence || kind == part::tuple || kind == part::set || kind == part::frozen_set;
}
/// The items of a list, tuple, set or frozenset.
inline std::vector<Value>& items_of(const Value& value) noexcept { return node_of<Items>(value).items; }

Value new_items(ValueKind kind, std::vector<Value> items);
Value new_dict(std::vector<Value::Entry> entries);
Value new_text(ValueKind kind, std::string_view text);
/// Throws: Error(malformed) for what is not a name.
Value new_global(std::string_view module, std::string_view name);
Value new_object(Value callable, Value args);

/// The name of what would be called, or nothing for another object.
std::string_view callable_name(const Object& object) noexcept;
Known known(const Value& value) noexcept;
/// What the callable of an object is; Known::no for other Values.
Known known_callable(const Value& value) noexcept;
/// The text or bytes, if the value is such.
bool is_string(const Value& value) noexcept;
std::string_view string_of(const Value& value) noexcept;
/// The value of a text key in a dict, or null.
const Value* entry(const Value& dict, std::string_view key) noexcept;

/// Whether a second place of the value needs a reference.
bool can_be_shared(const Value& value) noexcept;

class Window;

/// What a pickle may cost beyond its own bytes. A few opcodes can ask for a copy of much that was read before; copies
/// together may have 64 times the bytes read, and 1 MiB.
class Budget {
 public:
  /// `window` must outlive it. `beside` bytes lie elsewhere, those of persistent objects.
  explicit Budget(const Window& window, std::uint64_t beside = 0) noexcept : window_(window), beside_(beside) {}

  /// Throws: Error(limit_exceeded).
  void charge(std::uint64_t bytes);
  void charge_items(std::size_t count) { charge(count * sizeof(Value)); }
  /// Counts a view of shared bytes, because copying overlapping views multiplies the memory. All views together may
  /// have 1000 times the bytes of the input, plus 1 GiB. Throws: Error(limit_exceeded).
  void charge_view(std::uint64_t bytes);
  /// To be called with the path of each companion file.
  /// Throws: Error(malformed) for one that has been read.
  void use_once(const std::string& path);

 private:
  const Window& window_;
  const std::uint64_t beside_;
  std::uint64_t used_ = 0;
  std::uint64_t viewed_ = 0;
  std::set<std::string> files_;
};

/// What has been taken from the memo, or duplicated.
class Marks {
 public:
  explicit Marks(const Window& window, std::uint64_t beside = 0) : budget_(window, beside) {}
  Marks(const Marks&) = delete;
  Marks& operator=(const Marks&) = delete;
  /// Breaks the cycles of what is not finished.
  ~Marks();

  /// To be called for each Value that is put to a second place. Small leaves are not marked: they are repeated.
  void mark(const Value& value);
  Budget& budget() noexcept { return budget_; }
  /// Leaves what is in the finished tree alone.
  void release();

 private:
  friend class Finisher;
  struct Mark {
    std::shared_ptr<const Node> node;
    std::uint32_t places = 0;
    Value reference;  // once the shared value has been made
  };
  Mark* find(const Value& value) noexcept;

  Budget budget_;
  std::unordered_map<const Node*, Mark> marks_;
};

/// Makes a Value of the tree, in time and memory of its size, without recursion.
/// Throws: Error(limit_exceeded) for more than `deepest` nested objects.
Value finish(Value tree, Marks& marks, std::size_t deepest);

}  // namespace stele::pickle

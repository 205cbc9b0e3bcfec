#pragma once
// The nodes of the kinds of Value, for the sources that create and walk them.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "stele/value.hpp"

namespace stele {

/// The names of a record; all records with the same names share it.
struct RecordLayout {
  std::vector<std::string> names;
  std::vector<std::string_view> views;  // of the names
  std::uint32_t version = 0;
};
std::shared_ptr<const RecordLayout> make_layout(std::vector<std::string> names, std::uint32_t version);

struct Value::Node {
  Node() = default;
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  virtual ~Node() = default;
  /// Moves all values it holds to the end of `values`.
  virtual void give(std::vector<Value>&) {}
  std::uint32_t height = 0;  // nodes on the longest path down
};

/// Access to the parts of a Value.
struct ValueAccess {
  using Node = Value::Node;
  struct Text;
  struct Array;
  struct Items;
  struct Map;
  struct Wrap;

  static Value make(ValueKind kind, std::shared_ptr<const Node> node) noexcept;
  template <class N>
  static const N& node(const Value& value) noexcept {
    return static_cast<const N&>(*value.node_);
  }
  /// The node, null for kinds without one.
  static const std::shared_ptr<const Node>& shared_node(const Value& value) noexcept { return value.node_; }
  static std::uint32_t height(const Value& value) noexcept { return value.node_ == nullptr ? 0 : value.node_->height; }
  /// Creates the node of a shared value whose content is set later. Until then nobody else may access it.
  static std::shared_ptr<Wrap> unfinished(Value::Anchor anchor);
  static Value record(std::shared_ptr<const RecordLayout> layout, std::vector<Value> values);
  static AnyArray array(const ArrayView& view, std::shared_ptr<Buffer> buffer, bool shareable);
  /// The array as written: with its buffer only if other arrays use it too.
  static ArrayView view_to_write(const AnyArray& array);
  static const Value& inside(const Value& value) noexcept { return value.inside(); }
  /// Destroys values without recursion, at any depth.
  static void take_apart(std::vector<Value> values) noexcept;
};

struct ValueAccess::Text final : Node {
  std::string text;
};
struct ValueAccess::Items final : Node {
  ~Items() override;
  void give(std::vector<Value>& values) override;
  std::vector<Value> items;
  Ordering ordering = Ordering::ordered;
  std::shared_ptr<const RecordLayout> layout;  // records
};
struct ValueAccess::Map final : Node {
  ~Map() override;
  void give(std::vector<Value>& values) override;
  std::vector<Value::Entry> entries;
  Ordering ordering = Ordering::ordered;
};
struct ValueAccess::Wrap final : Node {
  ~Wrap() override;
  void give(std::vector<Value>& values) override;
  Value content;  // typed, shared
  std::string name;
  Value::Anchor anchor;
};

/// What a reader hands out as it is; the rest is copied.
struct Handing {
  bool buffers = true;  // of arrays
  bool tree = false;    // all of it, to a Value: only where no reference in it leads to something outside
};
/// As the public one.
std::unique_ptr<InVisitor> value_reader(const Value& value, const LoadOptions& options, Handing handing);
/// What such a reader holds, if it hands out all of it and nothing has been read.
std::optional<Value> take_tree(InVisitor& in);

/// Finds the content of the anchors in a value. Walks the value on the first call.
class Anchors {
 public:
  /// `root` must outlive the table.
  explicit Anchors(const Value& root) noexcept : root_(root) {}
  /// The content of the shared value, or null if it is not in the root.
  const Value* find(const Value::Anchor& anchor);

 private:
  const Value& root_;
  bool known_ = false;
  std::unordered_map<const void*, const Value*> contents_;
};

}  // namespace stele

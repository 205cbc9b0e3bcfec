// Makes the Values of a tree: first counts the places of what is marked, then replaces parts from the top down and sets
// the heights of nodes from the bottom up.

#include <algorithm>
#include <array>
#include <utility>

#include "interop/pickle/numpy/numpy.hpp"
#include "interop/pickle/read/tree.hpp"
#include "stele/error.hpp"

namespace stele::pickle {
namespace {

using Wrap = ValueAccess::Wrap;

std::uint32_t above(std::uint32_t height) noexcept { return height + (height < UINT32_MAX ? 1 : 0); }

constexpr std::size_t long_name = 128;  // bytes of which the name of a class rarely has so many

/// Whether a value is nowhere else.
bool is_own(const Value& value) noexcept { return ValueAccess::shared_node(value).use_count() == 1; }

/// Whether the value can hold nothing that is unfinished.
bool is_leaf(const Value& value) noexcept { return value.kind() <= ValueKind::real || value.is_array(); }

}  // namespace

class Finisher {
 public:
  Finisher(Marks& marks, std::size_t deepest) : marks_(marks), deepest_(deepest) {}

  void count(const Value& root) {
    if (marks_.marks_.empty()) {
      return;
    }
    std::vector<const Value*> pending{&root};
    const auto add = [&](const Value& value) {
      if (!is_leaf(value)) {
        pending.push_back(&value);
      }
    };
    const auto add_all = [&](const std::vector<Value>& values) { std::for_each(values.begin(), values.end(), add); };
    const auto add_entries = [&](const std::vector<Value::Entry>& entries) {
      for (const auto& [key, value] : entries) {
        if (!key.is_text()) {
          add(key);
        }
        add(value);
      }
    };
    while (!pending.empty()) {
      const Value& value = *pending.back();
      pending.pop_back();
      if (value.is(part::object)) {
        settle_dtype(node_of<Object>(value), marks_.budget());
      }
      if (Marks::Mark* const mark = mark_of(value); mark != nullptr && ++mark->places > 1) {
        continue;
      }
      if (is_container(value.kind()) || value.is_record()) {
        add_all(items_of(value));
      } else if (value.is_map()) {
        add_entries(node_of<Map>(value).entries);
      } else if (value.is(ValueKind::typed)) {
        add(node_of<Wrap>(value).content);
      } else if (value.is(part::object) && node_of<Object>(value).has_finished) {
        add(node_of<Object>(value).finished);  // the rest is left out, and a dtype may lie in its own
      } else if (value.is(part::object)) {
        const Object& object = node_of<Object>(value);
        add(object.callable);
        if (object.args.is(part::tuple) && !object.is_persistent) {
          if (!is_own(object.args)) {
            marks_.budget().charge_items(items_of(object.args).size());
          }
          add_all(items_of(object.args));
        } else {
          add(object.args);
        }
        add(object.kwargs);
        add_all(object.states);
        add_all(object.items);
        add_entries(object.entries);
      }
    }
  }

  void finish(Value& root) {
    open(root);
    while (!frames_.empty()) {
      Frame& frame = frames_.back();
      if (frame.items != nullptr) {
        std::vector<Value>& items = frame.items->items;
        while (frame.next < items.size() && is_leaf(items[frame.next])) {
          ++frame.next;
        }
        if (frame.next < items.size()) {
          open(items[frame.next++]);
          continue;
        }
      } else if (frame.wrap != nullptr) {
        if (frame.next++ == 0 && !is_leaf(frame.wrap->content)) {
          open(frame.wrap->content);
          continue;
        }
      } else {
        std::vector<Value::Entry>& entries = frame.map->entries;
        while (frame.next < 2 * entries.size()) {
          auto& [key, value] = entries[frame.next / 2];
          Value& side = frame.next % 2 == 0 ? key : value;
          if (!is_leaf(side) && (frame.next % 2 == 1 || !side.is_text())) {
            break;
          }
          ++frame.next;
        }
        if (frame.next < 2 * entries.size()) {
          auto& [key, value] = entries[frame.next / 2];
          open(frame.next++ % 2 == 0 ? key : value);
          continue;
        }
      }
      const Frame done = frame;
      frames_.pop_back();
      close(done.node(), done.wraps);
    }
  }

 private:
  /// The nodes around a part that hold nothing else, the outermost first: a shared persistent object whose id is a
  /// shared tuple has four.
  struct Wraps {
    std::array<Wrap*, 6> nodes{};
    std::size_t count = 0;
    void add(Wrap* wrap) { nodes.at(count++) = wrap; }
  };
  /// A node whose parts are being finished.
  struct Frame {
    Items* items = nullptr;
    Map* map = nullptr;
    Wrap* wrap = nullptr;
    std::size_t next = 0;  // of a map: keys and values
    Wraps wraps;
    Node& node() const noexcept {
      return items != nullptr ? static_cast<Node&>(*items) : map != nullptr ? static_cast<Node&>(*map) : *wrap;
    }
  };

  /// Null too for a dtype, which is repeated, as other leaves are.
  Marks::Mark* mark_of(const Value& value) noexcept {
    const bool is_dtype =
        value.is(part::object) && node_of<Object>(value).has_finished && node_of<Object>(value).type != nullptr;
    return marks_.marks_.empty() || is_dtype || !can_be_shared(value) ? nullptr : marks_.find(value);
  }

  /// The finished value is known but for its parts, which follow.
  void open(Value& slot) {
    Wraps wraps;
    Value* value = &slot;
    bool is_new = true;  // whether this value has not been looked at
    for (;;) {
      if (std::exchange(is_new, false)) {
        if (value->is(part::object)) {
          settle_dtype(node_of<Object>(*value), marks_.budget());
        }
        if (Marks::Mark* const mark = mark_of(*value); mark != nullptr && mark->places > 1) {
          if (!mark->reference.is_null()) {
            *value = mark->reference;
            return close_leaf(*value, wraps);
          }
          const Value::Anchor anchor = Value::make_anchor(++anchors_);
          mark->reference = Value::make_reference(anchor);
          value = wrapped(*value, ValueKind::shared, ValueAccess::unfinished(anchor), wraps);
        }
      }
      switch (code(value->kind())) {
        case code(part::tuple):
          value = typed(*value, "py:tuple", wraps);
          rename(*value, ValueKind::sequence);
          break;
        case code(part::frozen_set):
          value = typed(*value, "py:frozenset", wraps);
          rename(*value, ValueKind::sequence);
          break;
        case code(part::set):
          value = typed(*value, "py:set", wraps);
          rename(*value, ValueKind::sequence);
          break;
        case code(part::byte_array):
          value = typed(*value, "py:bytearray", wraps);
          rename(*value, part::data);
          break;
        case code(part::data): {
          const std::shared_ptr<const Node> keep = ValueAccess::shared_node(*value);
          *value = new_text(ValueKind::bytes, string_of(*value));
          break;
        }
        case code(part::global): {
          const std::shared_ptr<const Node> keep = ValueAccess::shared_node(*value);
          Global& global = node_of<Global>(*value);
          if (global.finished.is_null()) {
            global.finished = Value::make_typed("py:global", Value(global.name));
          }
          *value = global.finished;
          return close_leaf(*value, wraps);
        }
        case code(part::given): {
          const std::shared_ptr<const Node> keep = ValueAccess::shared_node(*value);
          *value = static_cast<const Given&>(*keep).value;
          return close_leaf(*value, wraps);
        }
        case code(part::object):
          if (node_of<Object>(*value).is_persistent) {
            return open_persistent(*value, wraps);
          }
          value = open_object(*value, wraps);
          break;
        case code(ValueKind::typed): {
          auto& wrap = node_of<Wrap>(*value);
          if (is_leaf(wrap.content) || wrap.content.is_text() || wrap.content.is(ValueKind::bytes)) {
            return close_leaf(*value, wraps);
          }
          wraps.add(&wrap);
          value = &wrap.content;
          is_new = true;
          break;
        }
        case code(ValueKind::sequence):
        case code(ValueKind::record):
          return push({&node_of<Items>(*value), nullptr, nullptr, 0, wraps});
        case code(ValueKind::map):
          return push({nullptr, &node_of<Map>(*value), nullptr, 0, wraps});
        default:
          return close_leaf(*value, wraps);
      }
    }
  }

  enum class Field : std::uint8_t { callable, is_new, args, kwargs, state, states, items, entries };

  /// The names of the fields whose bits are set.
  const std::shared_ptr<const RecordLayout>& layout_of(unsigned present) {
    static constexpr std::array<const char*, 8> all = {"callable", "new",    "args",  "kwargs",
                                                       "state",    "states", "items", "entries"};
    std::shared_ptr<const RecordLayout>& layout = layouts_.at(present);
    if (layout == nullptr) {
      std::vector<std::string> names;
      for (unsigned field = 0; field < all.size(); ++field) {
        if ((present >> field & 1) != 0) {
          names.emplace_back(all.at(field));
        }
      }
      layout = make_layout(std::move(names), 0);
    }
    return layout;
  }

  /// Replaces a persistent object by its id, which may be such an object too, at any depth.
  void open_persistent(Value& value, const Wraps& wraps) {
    Value id = std::move(node_of<Object>(value).args);
    const auto wrap = new_node<Wrap>();
    wrap->name = "py:persistent";
    wrap->content = std::move(id);
    value = ValueAccess::make(ValueKind::typed, wrap);
    push({nullptr, nullptr, wrap.get(), 0, wraps});
  }

  /// Replaces an object by what it becomes and returns that.
  Value* open_object(Value& value, Wraps& wraps) {
    const std::shared_ptr<const Node> keep = ValueAccess::shared_node(value);
    Object& object = node_of<Object>(value);
    if (object.has_finished) {
      value = object.type != nullptr ? object.finished : std::move(object.finished);
      return &value;
    }
    std::vector<Value> values;
    unsigned present = 0;
    const auto add = [&](Field field, Value content) {
      present |= 1U << static_cast<unsigned>(field);
      values.push_back(std::move(content));
    };
    std::string type = "py:";
    if (const std::string_view name = callable_name(object); !name.empty()) {
      marks_.budget().charge(name.size() > long_name ? name.size() : 0);
      type += name;
    } else {
      type += "call";
      add(Field::callable, std::move(object.callable));
    }
    if (object.is_new) {
      add(Field::is_new, true);
    }
    if (!items_of(object.args).empty()) {
      // The sequence takes the items of a tuple that is nowhere else.
      std::vector<Value>& items = items_of(object.args);
      const bool takes = is_own(object.args);
      marks_.budget().charge_items(takes ? 0 : items.size());
      add(Field::args, new_items(ValueKind::sequence, takes ? std::move(items) : items));
    }
    if (object.kwargs.is_map() && !node_of<Map>(object.kwargs).entries.empty()) {
      add(Field::kwargs, std::move(object.kwargs));
    }
    if (object.states.size() == 1) {
      add(Field::state, std::move(object.states[0]));
    } else if (!object.states.empty()) {
      add(Field::states, new_items(ValueKind::sequence, std::move(object.states)));
    }
    if (!object.items.empty()) {
      add(Field::items, new_items(ValueKind::sequence, std::move(object.items)));
    }
    if (!object.entries.empty()) {
      add(Field::entries, new_dict(std::move(object.entries)));
    }
    value = ValueAccess::record(layout_of(present), std::move(values));
    node_of<Items>(value).height = UINT32_MAX;
    return typed(value, std::move(type), wraps);
  }

  static void rename(Value& value, ValueKind kind) {
    std::shared_ptr<const Node> node = ValueAccess::shared_node(value);
    value = ValueAccess::make(kind, std::move(node));
  }
  static Value* wrapped(Value& value, ValueKind kind, const std::shared_ptr<Wrap>& wrap, Wraps& wraps) {
    wrap->content = std::move(value);
    value = ValueAccess::make(kind, wrap);
    wraps.add(wrap.get());
    return &wrap->content;
  }
  static Value* typed(Value& value, std::string name, Wraps& wraps) {
    const auto wrap = new_node<Wrap>();
    wrap->name = std::move(name);
    return wrapped(value, ValueKind::typed, wrap, wraps);
  }

  void push(const Frame& frame) {
    if (frames_.size() >= deepest_) {
      fail(Errc::limit_exceeded, "objects are nested more than " + std::to_string(deepest_) + " deep");
    }
    const bool is_empty =
        (frame.items != nullptr && frame.items->items.empty()) || (frame.map != nullptr && frame.map->entries.empty());
    frame.node().height = is_empty ? 0 : 1;
    frames_.push_back(frame);
  }
  void close_leaf(const Value& value, const Wraps& wraps) { raise(height_through(ValueAccess::height(value), wraps)); }
  void close(const Node& node, const Wraps& wraps) { raise(height_through(node.height, wraps)); }
  static std::uint32_t height_through(std::uint32_t height, const Wraps& wraps) {
    for (std::size_t i = wraps.count; i-- > 0;) {
      height = above(height);
      wraps.nodes.at(i)->height = height;
    }
    return height;
  }
  void raise(std::uint32_t height) {
    if (!frames_.empty()) {
      Node& node = frames_.back().node();
      node.height = std::max(node.height, above(height));
    }
  }

  Marks& marks_;
  const std::size_t deepest_;
  std::vector<Frame> frames_;
  std::array<std::shared_ptr<const RecordLayout>, 256> layouts_;
  std::uint64_t anchors_ = 0;
};

Value finish(Value tree, Marks& marks, std::size_t deepest) {
  Finisher finisher(marks, deepest);
  finisher.count(tree);
  finisher.finish(tree);
  marks.release();
  return tree;
}

}  // namespace stele::pickle

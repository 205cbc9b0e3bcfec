#include "interop/pickle/write/pickle_writer.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "archive/value/later.hpp"
#include "archive/value/nodes.hpp"
#include "format/path/path.hpp"
#include "interop/pickle/write/arrays.hpp"
#include "interop/pickle/write/keys.hpp"
#include "interop/pickle/write/objects.hpp"
#include "interop/pickle/write/stream.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::size_t batch = 1000;  // items for one APPENDS or SETITEMS, as Python writes them

/// The places where the writing decides for itself, which is found by the check.
using Choices = std::unordered_set<const Value*>;

/// One pass over a value. Without a Sink it checks the value. Containers are written in a loop, at any depth.
///
/// Objects that are shared are memoized as soon as Python has them: lists and dicts before their items, others after.
/// A reference to one of the others that is being written writes it again, as Python's pickler does. The cycle ends at
/// a list or dict of it, so these are memoized too while such an object is being written.
class PickleWriter {
 public:
  PickleWriter(Sink* to, const Value& root, const PickleWriteOptions& options, Choices& lists)
      : root_(root),
        checks_(to == nullptr),
        lists_(lists),
        out_(to, options.protocol, options.position),
        arrays_(out_, options.joblib),
        targets_(root),
        keys_(targets_) {}

  void write() {
    try {
      put(root_, false);
      while (!frames_.empty()) {
        advance();
      }
    } catch (const Error& error) {
      if (!checks_) {
        throw;
      }
      rethrow_at(error, {path(), {}});
    }
    out_.op(opcode::stop);
    out_.flush();
  }

 private:
  enum class Form : std::uint8_t {
    list,
    set,
    set_call,   // protocols without sets: a call with a list
    frozenset,  // the items follow a mark
    tuple,
    dict,
    record,
    typed,       // a dict of a name and a value
    object,      // an instance or a call
    persistent,  // an object that is known by an id
    object_array,
  };
  struct Frame {
    Form form = Form::list;
    bool hashed = false;           // tuple: it is a key
    bool pending = false;          // shared, but Python does not have it yet
    bool raw_arrays = false;       // tuple: the state of an array
    const Value* place = nullptr;  // of the container
    const void* anchor = nullptr;  // of a shared value
    const Value* items = nullptr;  // or, for a dict:
    const Value::Entry* entries = nullptr;
    std::size_t count = 0;  // keys count
    std::size_t next = 0;
    std::string_view step = {};  // object: the field that is written
  };
  struct Shared {
    std::optional<std::uint32_t> memo;
    int begun = 0;
  };

  // --- Identity ---

  /// Called when Python has the object on top of the stack.
  void made(const Value* place, const void* anchor) {
    if (anchor != nullptr) {
      shared_[anchor].memo = out_.memoize();
    } else if (pending_ > 0) {
      places_[place] = out_.memoize();
    }
  }
  void made(Frame& frame) {
    settle(frame);
    made(frame.place, frame.anchor);
  }
  void settle(Frame& frame) {
    if (frame.pending) {
      frame.pending = false;
      if (--pending_ == 0) {
        places_.clear();
      }
    }
  }
  /// Whether the object was finished inside itself. The `parts` on the stack are then dropped.
  bool was_made(Frame& frame, std::size_t parts, bool marked) {
    if (!frame.pending || !shared_[frame.anchor].memo) {
      return false;
    }
    settle(frame);
    for (std::size_t i = 0; i < (marked ? 1 : parts); ++i) {
      out_.op(marked ? opcode::pop_mark : opcode::pop);
    }
    out_.get(*shared_[frame.anchor].memo);
    return true;
  }
  /// Whether the container is in the memo, because this is the second time that it is reached.
  bool get_place(const Value& value, const void* anchor) {
    if (pending_ == 0 || anchor != nullptr) {
      return false;
    }
    const auto known = places_.find(&value);
    if (known == places_.end()) {
      return false;
    }
    out_.get(known->second);
    return true;
  }

  Frame& push(Form form, const Value& place, const void* anchor) {
    Frame& frame = frames_.emplace_back();
    frame.form = form;
    frame.place = &place;
    frame.anchor = anchor;
    return frame;
  }
  /// For an object that Python has only at its end.
  Frame& push_pending(Form form, const Value& place, const void* anchor) {
    Frame& frame = push(form, place, anchor);
    frame.pending = anchor != nullptr;
    pending_ += frame.pending ? 1 : 0;
    return frame;
  }
  static void set_items(Frame& frame, std::span<const Value> items) {
    frame.items = items.data();
    frame.count = items.size();
  }

  // --- Values ---

  /// Writes a value. A container is only begun; write() writes what it holds.
  void put(const Value& value, bool hashed) {
    if (value.is(ValueKind::shared) || value.is(ValueKind::reference)) {
      const PickleTargets::Target target = targets_.find(value);
      Shared& shared = shared_[target.anchor];
      if (shared.memo) {
        return out_.get(*shared.memo);
      }
      if (++shared.begun > 2) {
        fail(Errc::unsupported, "a cycle without a list, a dict or the state of an object, which Python cannot make");
      }
      return put_plain(*target.value, hashed, target.anchor);
    }
    put_plain(value, hashed, nullptr);
  }

  void put_plain(const Value& value, bool hashed, const void* anchor) {
    switch (value.kind()) {
      case ValueKind::null:
        out_.op(opcode::none);
        break;
      case ValueKind::boolean:
        out_.boolean(value.boolean());
        break;
      case ValueKind::integer:
        out_.integer(value.number());
        break;
      case ValueKind::real:
        out_.real(value.number());
        break;
      case ValueKind::text:
        out_.text(value.text());
        break;
      case ValueKind::bytes:
        out_.bytes(value.bytes());
        break;
      case ValueKind::array:
        put_shared_array(value, hashed);
        break;
      case ValueKind::sequence:
        return put_sequence(value, anchor);
      case ValueKind::map:
        return put_map(value, anchor);
      case ValueKind::record:
        return put_record(value, anchor);
      default:
        return put_typed(value, hashed, anchor);
    }
    if (anchor != nullptr) {
      shared_[anchor].memo = out_.memoize();
    }
  }

  /// Arrays that are the same view of one buffer, as archives give them back, were one object.
  void put_shared_array(const Value& value, bool hashed) {
    LaterArray* const later = later_array(value);
    if (later != nullptr && later->header().shape.rank() > 0) {
      if (const auto known = later_at_.find(later); known != later_at_.end()) {
        return out_.get(known->second);
      }
      arrays_.array(*later);
      if (later->shareable()) {
        later_at_.emplace(later, out_.memoize());
      }
      return;
    }
    const AnyArray& array = value.array();
    const ArrayView view = ValueAccess::view_to_write(array);
    if (view.buffer == nullptr || view.shape.rank() == 0 || view.byte_count() == 0) {
      return put_array(array.view(), hashed);
    }
    std::vector<std::pair<ArrayView, std::uint32_t>>& known = arrays_at_[view.data];
    for (const auto& [other, memo] : known) {
      if (other.dtype == view.dtype && other.shape == view.shape &&
          std::equal(view.strides, view.strides + view.shape.rank(), other.strides)) {
        return out_.get(memo);
      }
    }
    put_array(view, hashed);
    known.emplace_back(view, out_.memoize());
  }

  void put_array(const ArrayView& view, bool hashed) {
    if (view.shape.rank() > 0) {
      arrays_.array(view);
    } else if (view.dtype.kind() == DType::Kind::complex128) {
      arrays_.complex(view);
    } else if (hashed) {
      arrays_.scalar(view);
    } else {
      arrays_.array(view);
    }
  }

  // --- Containers ---

  void put_sequence(const Value& value, const void* anchor) {
    if (get_place(value, anchor)) {
      return;
    }
    if (value.ordering() == Ordering::unordered && is_set(value)) {
      return put_set(value, value, anchor, "set");
    }
    out_.op(opcode::empty_list);
    made(&value, anchor);
    set_items(push(Form::list, value, anchor), value.items());
  }

  /// Whether Python can hold the items in a set.
  bool is_set(const Value& value) {
    if (checks_ && keys_.fault(value.size(), [&](std::size_t i) -> const Value& { return value.items()[i]; })) {
      lists_.insert(&value);
    }
    return !lists_.contains(&value);
  }

  void put_set(const Value& place, const Value& items, const void* anchor, std::string_view type) {
    Form form = Form::set_call;
    if (out_.protocol() < 4) {
      out_.builtin(type);
      out_.op(opcode::empty_list);
    } else if (type == "set") {
      out_.op(opcode::empty_set);
      made(&place, anchor);
      form = Form::set;
    } else {
      out_.op(opcode::mark);
      form = Form::frozenset;
    }
    set_items(form == Form::set ? push(form, place, anchor) : push_pending(form, place, anchor), items.items());
  }

  void put_tuple(const Value& place, std::span<const Value> items, bool hashed, const void* anchor) {
    if (items.size() > 3) {
      out_.op(opcode::mark);
    }
    Frame& frame = push_pending(Form::tuple, place, anchor);
    frame.hashed = hashed;
    set_items(frame, items);
  }

  void put_map(const Value& value, const void* anchor) {
    if (get_place(value, anchor)) {
      return;
    }
    out_.op(opcode::empty_dict);
    made(&value, anchor);
    push_entries(value, anchor);
  }
  void push_entries(const Value& value, const void* anchor) {
    Frame& frame = push(Form::dict, value, anchor);
    frame.entries = value.entries().data();
    frame.count = 2 * value.size();
    if (checks_) {
      const auto fault = keys_.fault(value.size(), [&](std::size_t i) -> const Value& {
        frame.next = 2 * i + 1;  // for the path
        return frame.entries[i].first;
      });
      if (fault) {
        frame.next = 2 * fault->index + 1;
        fail(fault->repeated ? Errc::duplicate_field : Errc::unsupported,
             fault->repeated ? "a key that comes twice, which a dict cannot hold" : "a key that Python cannot hash");
      }
      frame.next = 0;
    }
  }

  void put_record(const Value& value, const void* anchor) {
    if (get_place(value, anchor)) {
      return;
    }
    if (checks_ && checked_names_.insert(value.names().data()).second) {
      std::vector<std::string_view> names(value.names().begin(), value.names().end());
      if (value.version() != 0) {
        names.push_back(walk_version_name);
      }
      std::sort(names.begin(), names.end());
      if (const auto twice = std::adjacent_find(names.begin(), names.end()); twice != names.end()) {
        fail(Errc::duplicate_field, "two fields \"" + std::string(*twice) + "\", which a dict cannot hold");
      }
    }
    out_.op(opcode::empty_dict);
    made(&value, anchor);
    if (value.version() != 0) {
      out_.name(walk_version_name);
      out_.natural(value.version());
      out_.op(opcode::setitem);
    }
    set_items(push(Form::record, value, anchor), value.items());
  }

  // --- What Python has and other languages lack ---

  void put_typed(const Value& value, bool hashed, const void* anchor) {
    const Value& content = value.content();
    if (!value.type_name().starts_with("py:")) {
      if (get_place(value, anchor)) {
        return;
      }
      out_.op(opcode::empty_dict);
      made(&value, anchor);
      out_.op(opcode::mark);
      out_.name("type");
      out_.name(value.type_name());
      out_.name("value");
      set_items(push(Form::typed, value, anchor), {&content, 1});
      return;
    }
    if (const Value* const tuple = pickle_tuple(value)) {
      return put_tuple(value, tuple->items(), hashed, anchor);
    }
    if (const Value* const items = pickle_frozenset(value)) {
      if (checks_ && !hashed && !keys_.key(value).hashable) {  // else the outermost key was looked at
        fail(Errc::unsupported, "a frozenset with an item that Python cannot hash");
      }
      return put_set(value, *items, anchor, "frozenset");
    }
    const std::string_view name = std::string_view(value.type_name()).substr(3);
    if (name == "set" && content.is_sequence()) {
      if (get_place(value, anchor)) {
        return;
      }
      const auto items = content.items();
      if (checks_) {
        for (const Value& item : items) {
          if (!keys_.key(item).hashable) {
            fail(Errc::unsupported, "a set with an item that Python cannot hash");
          }
        }
      }
      return put_set(value, content, anchor, "set");
    }
    if (name == "persistent") {
      set_items(push_pending(Form::persistent, value, anchor), {&content, 1});
      return;
    }
    if (name == "numpy.object_array") {
      return put_object_array(value, anchor);
    }
    if ((content.is_record() || content.is_map()) && is_pickle_object_name(name)) {
      return put_object(value, anchor);
    }
    if (!put_leaf(name, content)) {
      fail(Errc::invalid_argument, "a value \"py:" + std::string(name.substr(0, 100)) + "\" that holds a " +
                                       std::string(to_string(content.kind())) + ": it stands for nothing in Python");
    }
    if (anchor != nullptr) {
      shared_[anchor].memo = out_.memoize();
    }
  }

  /// False for a content that does not go with the name.
  bool put_leaf(std::string_view name, const Value& content) {
    if (name == "int") {
      return content.is_text() && out_.integer(content.text());
    }
    if (name == "str" && content.is(ValueKind::bytes)) {
      const Bytes bytes = content.bytes();
      const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      if (!is_utf8_with_surrogates(text)) {
        return false;
      }
      out_.text(text);
    } else if (name == "bytearray" && content.is(ValueKind::bytes)) {
      out_.builtin("bytearray");
      out_.bytes(content.bytes());
      out_.op(opcode::tuple1);
      out_.op(opcode::reduce);
    } else if (name == "numpy.generic" && content.is_array() && content.array().shape().rank() == 0) {
      arrays_.scalar(content.array().view());
    } else if (name == "numpy.dtype" && content.is_text()) {
      arrays_.dtype(content.text());
    } else if (name == "global" && content.is_text()) {
      const std::optional<PickleName> split = split_pickle_name(content.text());
      if (!split) {
        return false;
      }
      out_.global(split->module, split->name);
    } else if (name == "extension" && content.is(ValueKind::integer) &&
               content.number().type == Number::Type::natural) {
      out_.extension(content.number().bits);
    } else {
      return false;
    }
    return true;
  }

  void put_object_array(const Value& value, const void* anchor) {
    if (get_place(value, anchor)) {
      return;
    }
    const ObjectArray array = parse_object_array(value.content());
    arrays_.empty_array();
    made(&value, anchor);
    arrays_.begin_objects(array.shape, array.order);
    out_.op(opcode::empty_list);
    object_arrays_.push_back(array);
    set_items(push(Form::object_array, value, anchor), array.items->items());
  }

  void put_object(const Value& value, const void* anchor) {
    if (get_place(value, anchor)) {
      return;
    }
    objects_.push_back({parse_pickle_object(value)});
    push_pending(Form::object, value, anchor);
  }

  // --- What containers hold ---

  void advance() {
    switch (frames_.back().form) {
      case Form::list:
      case Form::set:
      case Form::set_call:
      case Form::frozenset:
      case Form::tuple:
      case Form::object_array:
        return advance_items();
      case Form::dict:
      case Form::record:
        return advance_entries();
      case Form::typed:
      case Form::persistent: {
        Frame& frame = frames_.back();
        return frame.next++ == 0 ? put(*frame.items, false) : end_items(frame);
      }
      case Form::object:
        return advance_object();
    }
  }

  void advance_items() {
    const std::size_t level = frames_.size();
    do {
      Frame& frame = frames_.back();
      const bool batched = frame.form != Form::frozenset && frame.form != Form::tuple;
      if (batched && frame.next % batch == 0 && frame.next > 0) {
        end_batch(frame);
      }
      if (frame.next == frame.count) {
        return end_items(frame);
      }
      if (batched && frame.next % batch == 0 && (frame.count - frame.next > 1 || frame.form == Form::set)) {
        out_.op(opcode::mark);
      }
      const std::size_t index = frame.next++;
      if (frame.form == Form::object_array) {
        put(frame.items[object_arrays_.back().index_of(index)], false);
      } else if (frame.raw_arrays && put_raw(frame, index)) {
        continue;
      } else {
        put(frame.items[index],
            frame.hashed || frame.form == Form::set || frame.form == Form::set_call || frame.form == Form::frozenset);
      }
    } while (frames_.size() == level);
  }

  /// Ends the batch of the items so far.
  void end_batch(const Frame& frame) {
    if (frame.form == Form::set) {
      out_.op(opcode::additems);
    } else {
      out_.op((frame.next - 1) % batch == 0 ? opcode::append : opcode::appends);
    }
  }

  void end_items(Frame& frame) {
    const bool open = frame.next % batch != 0;  // a batch
    switch (frame.form) {
      case Form::list:
      case Form::set:
        if (open) {
          end_batch(frame);
        }
        break;
      case Form::set_call:
        if (open) {
          end_batch(frame);
        }
        if (!was_made(frame, 2, false)) {
          out_.op(opcode::tuple1);
          out_.op(opcode::reduce);
          made(frame);
        }
        break;
      case Form::frozenset:
        if (!was_made(frame, 0, true)) {
          out_.op(opcode::frozenset);
          made_unless_plain(frame);
        }
        break;
      case Form::tuple:
        if (!was_made(frame, frame.count, frame.count > 3)) {
          static constexpr char tuples[] = {opcode::empty_tuple, opcode::tuple1, opcode::tuple2, opcode::tuple3};
          out_.op(frame.count > 3 ? opcode::tuple : tuples[frame.count]);
          made_unless_plain(frame);
        }
        break;
      case Form::object_array:
        if (open) {
          end_batch(frame);
        }
        arrays_.end_objects();
        object_arrays_.pop_back();
        break;
      case Form::persistent:
        out_.op(opcode::persistent_id);
        made_unless_plain(frame);
        break;
      default:
        out_.op(opcode::setitems);  // typed
        break;
    }
    frames_.pop_back();
  }
  /// For what nothing but a shared value's anchor refers to.
  void made_unless_plain(Frame& frame) {
    if (frame.anchor != nullptr) {
      made(frame);
    }
  }

  void advance_entries() {
    const std::size_t level = frames_.size();
    do {
      Frame& frame = frames_.back();
      const bool is_record = frame.form == Form::record;
      const std::size_t done = is_record ? frame.next : frame.next / 2;
      const std::size_t count = is_record ? frame.count : frame.count / 2;
      const bool at_key = is_record || frame.next % 2 == 0;
      if (at_key && done > 0 && (done % batch == 0 || done == count)) {
        out_.op((done - 1) % batch == 0 && done == count ? opcode::setitem : opcode::setitems);
      }
      if (at_key && done == count) {
        frames_.pop_back();
        return;
      }
      if (at_key && done % batch == 0 && count - done > 1) {
        out_.op(opcode::mark);
      }
      const std::size_t index = frame.next++;
      if (is_record) {
        out_.name(frame.place->names()[index]);
        put(frame.items[index], false);
      } else if (!at_key) {
        put(frame.entries[done].second, false);
      } else if (const Value& key = frame.entries[done].first; key.is_text() && count <= batch) {
        out_.name(key.text());  // in larger dicts, keys hardly repeat those of others
      } else {
        put(key, true);
      }
    } while (frames_.size() == level);
  }

  /// Writes an array in the state of an array as bytes. False for another item.
  bool put_raw(const Frame& frame, std::size_t index) {
    const auto at = [&](std::size_t place) -> const Value& { return *targets_.find(frame.items[place]).value; };
    const std::size_t elements = at(0).is(ValueKind::integer) ? 4 : 3;  // a version may come first
    if (index < elements || index >= elements + objects_.back().object.raw_states || !at(index).is_array()) {
      return false;
    }
    const ArrayHeader header = header_of(at(index));
    const Value& dtype = at(elements - 2);
    if (header.dtype.item_size() > 1 && dtype.is(ValueKind::typed) && dtype.content().is_text() &&
        dtype.content().text().find('>') != std::string::npos) {
      fail(Errc::unsupported, "an array of other than little-endian elements");
    }
    const Value& by_column = at(elements - 1);
    const bool columns = by_column.is(ValueKind::boolean) && by_column.boolean();
    const Order order = columns ? Order::column_major : Order::row_major;
    LaterArray* const later = later_array(at(index));
    if (later != nullptr && (header.order == order || header.shape.rank() < 2)) {
      arrays_.elements(*later);
    } else {
      arrays_.elements(at(index).array().view(), order);
    }
    return true;
  }

  // --- Objects ---

  enum class Stage : std::uint8_t { callable, arguments, keywords, make, items, entries, state, states, end };
  struct Object {
    PickleObject object;
    Stage stage = Stage::callable;
    std::size_t states = 0;  // begun
    bool in_state = false;   // BUILD follows
  };

  void advance_object() {
    Frame& frame = frames_.back();
    Object& at = objects_.back();
    const PickleObject& object = at.object;
    if (at.in_state) {
      at.in_state = false;
      out_.op(opcode::build);
    }
    switch (at.stage) {
      case Stage::callable:
        at.stage = Stage::arguments;
        if (object.keywords != nullptr && out_.protocol() < 4) {
          out_.global("copyreg", "__newobj_ex__");
        }
        if (object.callable != nullptr) {
          frame.step = "callable";
          return put(*object.callable, false);
        }
        return put_class(object);
      case Stage::arguments: {
        at.stage = Stage::keywords;
        frame.step = "args";
        if (object.arguments == nullptr) {
          return out_.op(opcode::empty_tuple);
        }
        return put_arguments(*object.arguments);
      }
      case Stage::keywords:
        at.stage = Stage::make;
        frame.step = "kwargs";
        if (object.keywords != nullptr) {
          if (!targets_.find(*object.keywords).value->is_map()) {
            fail(Errc::invalid_argument, "keywords that are no map");
          }
          put(*object.keywords, false);
        }
        return;
      case Stage::make:
        return make(frame, at);
      case Stage::items:
        at.stage = Stage::entries;
        frame.step = "items";
        if (object.items != nullptr && object.items->size() > 0) {
          set_items(push(Form::list, *object.items, nullptr), object.items->items());
        }
        return;
      case Stage::entries:
        at.stage = Stage::state;
        frame.step = "entries";
        if (object.entries != nullptr && object.entries->size() > 0) {
          push_entries(*object.entries, nullptr);
        }
        return;
      case Stage::state:
        at.stage = Stage::states;
        frame.step = "state";
        if (object.state != nullptr) {
          at.in_state = true;
          put_state(*object.state, object.raw_states > 0);
        }
        return;
      case Stage::states:
        frame.step = "states";
        if (object.states == nullptr || at.states == object.states->size()) {
          at.stage = Stage::end;
          return;
        }
        at.in_state = true;
        frame.next = at.states + 1;  // for the path
        return put_state(object.states->items()[at.states++], object.raw_states > 0);
      case Stage::end:
        settle(frame);
        objects_.pop_back();
        frames_.pop_back();
        return;
    }
  }

  void put_class(const PickleObject& object) {
    const std::optional<PickleName> split = split_pickle_name(object.name);
    if (!split) {
      fail(Errc::invalid_argument,
           "\"" + std::string(object.name.substr(0, 100)) + "\" is no name of a class or function of Python");
    }
    out_.global(split->module, split->name);
  }

  /// A sequence that Python has as a tuple.
  void put_arguments(const Value& value) {
    const void* anchor = nullptr;
    const Value* sequence = &value;
    if (value.is(ValueKind::shared) || value.is(ValueKind::reference)) {
      const PickleTargets::Target target = targets_.find(value);
      if (const Shared& shared = shared_[target.anchor]; shared.memo) {
        return out_.get(*shared.memo);
      }
      anchor = target.anchor;
      sequence = target.value;
    }
    const Value* const tuple = pickle_tuple(*sequence);
    sequence = tuple != nullptr ? tuple : sequence;
    if (!sequence->is_sequence()) {
      fail(Errc::invalid_argument, "arguments that are not a sequence");
    }
    put_tuple(*sequence, sequence->items(), false, anchor);
  }

  void put_state(const Value& state, bool raw_arrays) {
    const std::size_t level = frames_.size();
    put(state, false);
    if (raw_arrays && frames_.size() > level && frames_.back().form == Form::tuple) {
      frames_.back().raw_arrays = true;
    }
  }

  void make(Frame& frame, Object& at) {
    const PickleObject& object = at.object;
    const bool by_function = object.keywords != nullptr && out_.protocol() < 4;
    if (was_made(frame, object.keywords == nullptr ? 2 : by_function ? 4 : 3, false)) {
      at.stage = Stage::end;  // with all that follows
      return;
    }
    at.stage = Stage::items;
    if (by_function) {
      out_.op(opcode::tuple3);
      out_.op(opcode::reduce);
    } else {
      out_.op(object.keywords != nullptr ? opcode::newobj_ex : object.is_new ? opcode::newobj : opcode::reduce);
    }
    made(frame);
  }

  // --- Errors ---

  std::string path() const {
    std::string text;
    for (const Frame& frame : frames_) {
      switch (frame.form) {
        case Form::dict:
          append_entry(text, frame);
          break;
        case Form::record:
          if (frame.next > 0) {
            append_step(text, frame.place->names()[frame.next - 1]);
          }
          break;
        case Form::object:
          if (!frame.step.empty()) {
            append_step(text, frame.step);
          }
          if (frame.step == "states" && frame.next > 0) {
            append_step(text, std::to_string(frame.next - 1));
          }
          break;
        case Form::typed:
        case Form::persistent:
          break;
        case Form::object_array:
          append_step(text, "items");
          [[fallthrough]];
        default:
          if (frame.next > 0) {
            append_step(text, std::to_string(frame.next - 1));
          }
          break;
      }
    }
    return text;
  }
  static void append_entry(std::string& text, const Frame& frame) {
    if (frame.next == 0) {
      return;
    }
    const std::size_t index = (frame.next - 1) / 2;
    const Value& key = frame.entries[index].first;
    const bool repeats = index > 0 && frame.entries[index - 1].first == key;
    if (key.is_text() && !repeats) {
      append_step(text, key.text());
    } else if (key.is_number() && is_step(key.number()) && !repeats) {
      append_step(text, number_text(key.number()));
    } else {
      append_place(text, index);
    }
  }

  const Value& root_;
  const bool checks_;
  Choices& lists_;  // unordered sequences that are not sets
  PickleStream out_;
  PickleArrays arrays_;
  PickleTargets targets_;
  PickleKeys keys_;
  std::vector<Frame> frames_;
  std::vector<Object> objects_;  // of the frames, in their order
  std::vector<ObjectArray> object_arrays_;
  std::unordered_map<const void*, Shared> shared_;                                                    // by anchor
  std::unordered_map<const std::byte*, std::vector<std::pair<ArrayView, std::uint32_t>>> arrays_at_;  // and their memo
  std::unordered_map<const LaterArray*, std::uint32_t> later_at_;                                     // the same
  std::unordered_map<const Value*, std::uint32_t> places_;
  std::size_t pending_ = 0;
  std::unordered_set<const void*> checked_names_;  // of records
};

void require_protocol(const PickleWriteOptions& options) {
  if (options.protocol < 2 || options.protocol > 5) {
    fail(Errc::invalid_argument,
         "pickles are written in the protocols 2 to 5, not " + std::to_string(options.protocol));
  }
}

}  // namespace

void check_pickle(const Value& value, const PickleWriteOptions& options) {
  require_protocol(options);
  Choices lists;
  PickleWriter(nullptr, value, options, lists).write();
}

void write_pickle(Sink& to, const Value& value, const PickleWriteOptions& options) {
  require_protocol(options);
  Choices lists;
  PickleWriter(nullptr, value, options, lists).write();
  PickleWriter(&to, value, options, lists).write();
}

}  // namespace stele

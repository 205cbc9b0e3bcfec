// Store. Its calls run without the GIL: who writes holds the store's lock and takes the GIL to walk an object.

#include "stele/store.hpp"

#include <algorithm>
#include <atomic>
#include <bit>
#include <mutex>

#include "numpy.hpp"
#include "objects/graph.hpp"
#include "services/services.hpp"
#include "stele/error.hpp"
#include "stele/io.hpp"
#include "stele/key_hash.hpp"
#include "stele/store/exchange.hpp"
#include "stele/value.hpp"
#include "streams.hpp"
#include "watch.hpp"

namespace stele::python {
namespace {

// --- Keys ------------------------------------------------------------------------------------------------------------

/// Nothing for an int beyond 64 bits and a str with surrogates, which no store has.
/// Throws: TypeError for what is no key.
std::optional<StoreKey> key_of(nb::handle key) {
  PyObject* const object = key.ptr();
  if (PyUnicode_Check(object)) {
    std::string_view view;
    return utf8(object, view) ? std::optional(StoreKey(view)) : std::nullopt;
  }
  if (PyBytes_Check(object)) {
    return StoreKey(std::as_bytes(std::span(PyBytes_AsString(object), static_cast<std::size_t>(PyBytes_Size(object)))));
  }
  if (PyBool_Check(object) || PyIndex_Check(object) == 0 || PyArray_Check(object)) {
    raise(PyExc_TypeError,
          "a key is an int, str or bytes, not " + nb::cast<std::string>(nb::str(key.type().attr("__name__"))));
  }
  const nb::object index = own(PyNumber_Index(object));
  int overflow = 0;
  const long long number = PyLong_AsLongLongAndOverflow(index.ptr(), &overflow);
  if (overflow == 0) {
    return StoreKey(number);
  }
  const unsigned long long natural = overflow > 0 ? PyLong_AsUnsignedLongLong(index.ptr()) : ~0ULL;
  if (natural == ~0ULL && (overflow < 0 || PyErr_Occurred() != nullptr)) {
    PyErr_Clear();
    return std::nullopt;
  }
  return StoreKey(natural);
}

/// Throws: ValueError for what no store can have.
StoreKey required_key(nb::handle key) {
  std::optional<StoreKey> made = key_of(key);
  if (!made) {
    raise(PyLong_Check(key.ptr()) ? PyExc_OverflowError : PyExc_ValueError,
          "a key is an int of 64 bits, a str of valid Unicode, or bytes; this is none: " +
              nb::cast<std::string>(nb::repr(key)));
  }
  return std::move(*made);
}

std::optional<StoreKey> bound_of(nb::handle key) {
  return key.is_none() ? std::nullopt : std::optional(required_key(key));
}

nb::object key_object(const StoreKey& key) {
  switch (key.kind()) {
    case StoreKey::Kind::text:
      return text(key.text());
    case StoreKey::Kind::bytes: {
      const Bytes bytes = key.bytes();
      return nb::bytes(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    }
    default:
      return key < StoreKey(0) ? nb::object(nb::int_(key.integer())) : nb::object(nb::int_(key.natural()));
  }
}

/// Keys one after another, 8 bytes and their own each: a list of Python's objects would take ten times that, and be
/// copied by each process that a fork makes.
struct KeyList {
  std::string bytes;  // that sort as the keys do
  std::vector<std::uint64_t> ends;

  void add(const StoreKey& key) {
    bytes += key.sortable();
    ends.push_back(bytes.size());
  }
  std::size_t size() const noexcept { return ends.size(); }
  StoreKey at(std::int64_t index) const {
    if (index < 0 || static_cast<std::uint64_t>(index) >= ends.size()) {
      raise(PyExc_IndexError, "index " + std::to_string(index) + " of " + std::to_string(ends.size()) + " items");
    }
    const auto i = static_cast<std::size_t>(index);
    const std::uint64_t begin = i == 0 ? 0 : ends[i - 1];
    return StoreKey::from_sortable(std::string_view(bytes).substr(begin, ends[i] - begin));
  }
};

std::vector<StoreKey> keys_at(const KeyList& list, nb::handle indices) {
  const nb::object array = own(PyArray_FROM_OTF(indices.ptr(), NPY_INT64, NPY_ARRAY_IN_ARRAY));
  auto* const given = reinterpret_cast<PyArrayObject*>(array.ptr());
  const auto* const first = reinterpret_cast<const std::int64_t*>(PyArray_BYTES(given));
  std::vector<StoreKey> keys;
  keys.reserve(static_cast<std::size_t>(PyArray_SIZE(given)));
  for (npy_intp i = 0; i < PyArray_SIZE(given); ++i) {
    keys.push_back(list.at(first[i]));
  }
  return keys;
}

Path path_from(nb::handle file) {
  std::string path;
  if (!path_of(file, path)) {
    raise(PyExc_TypeError, "expected a path");
  }
  return Path(path);
}

// --- Values ----------------------------------------------------------------------------------------------------------

nb::object value_object(const StoreValue& value, const Trust& trust) {
  constexpr std::size_t checked_bytes = std::size_t{1} << 20;  // a longer one may be unchecked
  if (value.is_text() || value.is_bytes()) {
    std::string copy;
    std::string_view view = value.text();
    if (view.size() > checked_bytes) {
      const nb::gil_scoped_release released;
      copy = value.as<std::string>();
      view = copy;
    }
    return value.is_text() ? text(view) : nb::object(nb::bytes(view.data(), view.size()));
  }
  try {
    GraphIn graph(trust);
    value.read_into(graph);
    return graph.result;
  } catch (const StoredInParts&) {
  }
  Value whole;
  {
    const nb::gil_scoped_release released;
    whole = value.as<Value>();
  }
  GraphIn graph(trust);
  const std::unique_ptr<InVisitor> in = value_reader(whole);
  read_whole(*in, graph, [] {});
  return graph.result;
}

/// The bytes of a text or byte string as a read-only array, in place.
nb::object bytes_in_place(const StoreValue& value) {
  auto held = std::make_shared<StoreValue>(value);
  const Bytes bytes = held->bytes();
  auto* const first = const_cast<std::byte*>(bytes.data());
  return array_over(ArrayView(DType::Kind::uint8, first, bytes.size()), Buffer::wrap(first, bytes.size(), false, held));
}

void put(Store& store, const StoreKey& key, nb::handle value) {
  std::string_view view;
  PyObject* const object = value.ptr();
  if (PyUnicode_CheckExact(object) && utf8(object, view)) {
    const nb::gil_scoped_release released;
    store.put(key, view);
  } else if (PyBytes_CheckExact(object)) {
    const Bytes bytes =
        std::as_bytes(std::span(PyBytes_AsString(object), static_cast<std::size_t>(PyBytes_Size(object))));
    const nb::gil_scoped_release released;
    store.put(key, bytes);
  } else {
    // The walk takes the GIL, while it holds the store's lock: whoever waits for the lock must not have the GIL.
    const GraphOut graph(value);
    const nb::gil_scoped_release released;
    store.put(key, graph);
  }
}

// --- The store -------------------------------------------------------------------------------------------------------

/// An open store; threads that use it keep it from going away when another closes it.
class Handle {
 public:
  Handle(Store store, Trust trust) : trust(std::move(trust)), store_(std::make_shared<Store>(std::move(store))) {}
  ~Handle() {
    const Uninterrupted whole;
    const nb::gil_scoped_release released;
    store_.reset();  // commits; the lock may be another thread's
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  std::shared_ptr<Store> get() const {
    const std::lock_guard lock(mutex_);
    if (store_ == nullptr) {
      raise(PyExc_ValueError, "the store is closed");
    }
    return store_;
  }
  bool is_open() const {
    const std::lock_guard lock(mutex_);
    return store_ != nullptr;
  }
  void close() {
    std::shared_ptr<Store> closing;
    {
      const std::lock_guard lock(mutex_);
      closing = store_;
    }
    if (closing != nullptr) {
      const nb::gil_scoped_release released;
      closing->close();
      {
        const std::lock_guard lock(mutex_);
        store_.reset();
      }
      closing.reset();
    }
  }

  const Trust trust;
  std::atomic<int> batches{0};  // that are open

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<Store> store_;
};

/// Calls `use` with the store, without the GIL.
template <class F>
auto released(const Handle& self, F&& use) {
  std::shared_ptr<Store> store = self.get();
  const nb::gil_scoped_release without;
  // The last to leave closes, also without the GIL.
  const std::shared_ptr<Store> held = std::move(store);
  return use(*held);
}

class Batch {
 public:
  explicit Batch(Handle& handle) : handle_(handle), store_(handle.get()) {
    const nb::gil_scoped_release without;
    batch_.emplace(store_->batch());
    ++handle_.batches;
  }
  ~Batch() {
    const Uninterrupted whole;
    undo();
  }
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;
  void commit() {
    if (!batch_) {
      raise(PyExc_ValueError, "the batch has ended");
    }
    const nb::gil_scoped_release without;
    const Ended ended(*this);
    batch_->commit();
  }
  void undo() {
    if (batch_) {
      const nb::gil_scoped_release without;
      const Ended ended(*this);
    }
  }
  bool open() const noexcept { return batch_.has_value(); }

 private:
  struct Ended {
    explicit Ended(Batch& batch) : batch(batch) {}
    ~Ended() {
      batch.batch_.reset();
      batch.store_.reset();
      --batch.handle_.batches;
    }
    Batch& batch;
  };
  Handle& handle_;  // kept by the Python object
  std::shared_ptr<Store> store_;
  std::optional<StoreBatch> batch_;
};

/// Steps through items or keys, some at a time.
class Cursor {
 public:
  using Items = StoreItems;
  using Keys = StoreKeys;

  Cursor(const Handle& handle, std::shared_ptr<Store> store, Items items)
      : handle_(handle), store_(std::move(store)), items_(std::move(items)) {}
  Cursor(const Handle& handle, std::shared_ptr<Store> store, Keys keys)
      : handle_(handle), store_(std::move(store)), keys_(std::move(keys)) {}
  ~Cursor() {
    const nb::gil_scoped_release without;
    end();
  }
  Cursor(const Cursor&) = delete;
  Cursor& operator=(const Cursor&) = delete;

  /// Up to `count` keys, values or pairs; none at the end.
  nb::list next(std::size_t count, bool with_key) {
    constexpr std::uint64_t most_bytes = std::uint64_t{4} << 20;  // of values that may be decompressed
    (void)handle_.get();
    std::vector<StoreItem> found;
    {
      const nb::gil_scoped_release without;
      const std::lock_guard lock(mutex_);
      const auto take = [&](auto& range, auto& at, auto&& add) {
        if (!range) {
          return;
        }
        if (!std::exchange(begun_, true)) {
          at = range->begin();
        } else if (at != range->end()) {
          ++at;
        }
        for (std::uint64_t bytes = 0; at != range->end();) {
          bytes += add(*at);
          if (found.size() >= count || bytes >= most_bytes) {
            return;
          }
          ++at;
        }
        end();
      };
      take(items_, item_, [&](const StoreItem& item) {
        found.push_back(item);
        return item.value.stored_bytes();
      });
      take(keys_, key_, [&](const StoreKey& key) {
        found.push_back({key, {}});
        return std::uint64_t{0};
      });
    }
    nb::list made;
    for (const StoreItem& item : found) {
      if (keys_only_) {
        made.append(key_object(item.key));
      } else if (with_key) {
        made.append(nb::make_tuple(key_object(item.key), value_object(item.value, handle_.trust)));
      } else {
        made.append(value_object(item.value, handle_.trust));
      }
    }
    return made;
  }

 private:
  void end() {
    items_.reset();
    keys_.reset();
    store_.reset();
  }

  const Handle& handle_;  // kept by the Python object
  std::mutex mutex_;      // never held with the GIL
  std::shared_ptr<Store> store_;
  std::optional<Items> items_;
  std::optional<Keys> keys_;
  Items::iterator item_;
  Keys::iterator key_;
  bool begun_ = false;
  const bool keys_only_ = keys_.has_value();
};

StoreKeyRange range_of(nb::handle from, nb::handle to, nb::handle prefix, bool reverse) {
  StoreKeyRange range{bound_of(from), bound_of(to), bound_of(prefix), reverse};
  if (range.prefix && range.prefix->kind() == StoreKey::Kind::integer) {
    raise(PyExc_TypeError, "a prefix is a str or bytes");
  }
  return range;
}

template <class F>
Cursor* cursor_over(const Handle& self, F&& make) {
  std::shared_ptr<Store> store = self.get();
  const nb::gil_scoped_release without;
  auto made = make(*store);
  return new Cursor(self, std::move(store), std::move(made));
}

std::vector<std::optional<StoreValue>> views(const Handle& self, const std::vector<StoreKey>& keys) {
  std::vector<std::optional<StoreValue>> found(keys.size());
  const bool in_batch = self.batches > 0;
  released(self, [&](const Store& store) {
    if (in_batch) {  // what is not committed is not seen otherwise
      for (std::size_t i = 0; i < keys.size(); ++i) {
        found[i] = store.view(keys[i]);
      }
    } else {
      store.view_many(keys, [&](std::size_t i, const StoreValue& value) { found[i] = value; });
    }
  });
  return found;
}

nb::list get_many(const Handle& self, nb::handle given, nb::handle absent) {
  std::vector<StoreKey> keys;
  std::vector<std::size_t> places;
  std::size_t count = 0;
  for (const nb::handle key : given) {
    if (std::optional<StoreKey> made = key_of(key)) {
      keys.push_back(std::move(*made));
      places.push_back(count);
    }
    ++count;
  }
  const std::vector<std::optional<StoreValue>> found = views(self, keys);
  nb::list made;
  std::size_t next = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (next < places.size() && places[next] == i) {
      const std::optional<StoreValue>& value = found[next++];
      made.append(value ? value_object(*value, self.trust) : nb::borrow(absent));
    } else {
      made.append(absent);
    }
  }
  return made;
}

/// The values of keys by their places in a list.
nb::list get_at(const Handle& self, const KeyList& list, nb::handle indices) {
  const std::vector<StoreKey> keys = keys_at(list, indices);
  const std::vector<std::optional<StoreValue>> found = views(self, keys);
  nb::list made;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (!found[i]) {
      PyErr_SetObject(PyExc_KeyError, key_object(keys[i]).ptr());
      throw nb::python_error();
    }
    made.append(value_object(*found[i], self.trust));
  }
  return made;
}

// --- Options and reports ---------------------------------------------------------------------------------------------

template <class E, std::size_t N>
E choice(nb::handle value, const char* what, const std::pair<const char*, E> (&choices)[N]) {
  std::string known;
  for (const auto& [label, meaning] : choices) {
    if (nb::cast<std::string>(nb::str(value)) == label) {
      return meaning;
    }
    known += (known.empty() ? "" : ", ") + std::string(label);
  }
  raise(PyExc_ValueError, std::string(what) + " is one of " + known);
}

StoreMode mode_of(nb::handle value) {
  constexpr std::pair<const char*, StoreMode> modes[] = {
      {"a", StoreMode::create}, {"r+", StoreMode::read_write}, {"r", StoreMode::read_only}};
  return choice(value, "mode", modes);
}

StoreOptions store_options(const nb::dict& given) {
  constexpr std::pair<const char*, StoreDurability> durabilities[] = {
      {"none", StoreDurability::none}, {"commit", StoreDurability::commit}, {"put", StoreDurability::put}};
  constexpr std::pair<const char*, Verify> verifies[] = {
      {"automatic", Verify::automatic}, {"none", Verify::none}, {"full", Verify::full}};
  StoreOptions options;
  for (const auto& [key, value] : given) {
    const auto name = nb::cast<std::string>(nb::str(key));
    if (value.is_none()) {
      continue;
    }
    if (name == "durability") {
      options.durability = choice(value, "durability", durabilities);
    } else if (name == "codec") {
      options.codec = nb::cast<std::string>(nb::str(value));
    } else if (name == "level") {
      options.level = nb::cast<int>(value);
    } else if (name == "shard_bytes") {
      options.shard_bytes = nb::cast<std::uint64_t>(value);
    } else if (name == "verify") {
      options.verify = choice(value, "verify", verifies);
    } else if (name == "wait_ms") {
      options.wait_ms = nb::cast<unsigned>(value);
    } else if (name == "group_values") {
      options.group_values = nb::cast<std::uint64_t>(value);
    } else if (name == "group_bytes") {
      options.group_bytes = nb::cast<std::uint64_t>(value);
    }
  }
  return options;
}

/// A callable as StoreProgress: what it returns counts where that is a bool. What it raises ends the call.
StoreProgress progress_of(nb::handle callable) {
  return [callable](std::uint64_t done, std::uint64_t total) {
    const nb::gil_scoped_acquire gil;
    check(PyErr_CheckSignals());
    return callable.is_none() || !callable(done, total).is(nb::bool_(false));
  };
}

nb::list texts_of(const std::vector<std::string>& lines) {
  nb::list made;
  for (const std::string& line : lines) {
    made.append(text(line));
  }
  return made;
}

nb::dict stats(const Handle& self) {
  const StoreStats found = released(self, [](const Store& store) { return store.stats(); });
  nb::dict made;
  made["values"] = found.values;
  made["live_bytes"] = found.live_bytes;
  made["dead_bytes"] = found.dead_bytes;
  made["index_bytes"] = found.index_bytes;
  made["commits"] = found.commits;
  made["codec"] = text(found.codec);
  made["orders"] = texts_of(found.orders);
  nb::list shards;
  for (const StoreShardStats& shard : found.shards) {
    nb::dict one;
    one["number"] = shard.number;
    one["file_bytes"] = shard.file_bytes;
    one["live_values"] = shard.live_values;
    one["live_bytes"] = shard.live_bytes;
    one["dead_bytes"] = shard.dead_bytes;
    shards.append(one);
  }
  made["shards"] = shards;
  return made;
}

nb::dict report_of(const StoreReport& report) {
  nb::dict made;
  made["good"] = report.good();
  made["values"] = report.values;
  made["bytes"] = report.bytes;
  made["lost_bytes"] = report.lost_bytes;
  made["lost_shards"] = report.lost_shards;
  made["lost_values"] = report.lost_values;
  made["uncertain_count"] = report.uncertain_count;
  nb::list uncertain;
  for (const StoreKey& key : report.uncertain) {
    uncertain.append(key_object(key));
  }
  made["uncertain"] = uncertain;
  made["problems"] = texts_of(report.problems);
  made["problem_count"] = report.problem_count;
  return made;
}

nb::dict report_of(const StoreExchangeReport& report) {
  nb::dict made;
  made["items"] = report.items;
  made["bytes"] = report.bytes;
  made["skipped"] = report.skipped;
  made["notes"] = texts_of(report.notes);
  made["complete"] = report.complete;
  return made;
}

nb::dict import_from(const Handle& self, const std::string& form, nb::handle file, const nb::dict& given) {
  StoreImportOptions options;
  options.key_prefix = nb::cast<std::string>(nb::str(nb::handle(given["key_prefix"])));
  options.key_field = nb::cast<std::string>(nb::str(nb::handle(given["key_field"])));
  options.overwrite = nb::cast<bool>(given["overwrite"]);
  options.exported = nb::cast<bool>(given["exported"]);
  options.progress = progress_of(nb::handle(given["progress"]));
  const Path path = path_from(file);
  return report_of(released(self, [&](Store& store) {
    if (form == "files") {
      return import_files(store, path, options);
    }
    if (form == "npz") {
      return import_npz(store, path, options);
    }
    if (form == "store") {
      const Store from = Store::open(path, StoreMode::read_only);
      return copy_store(from, store, {}, options);
    }
    const std::unique_ptr<Source> lines = file_source(path);
    return import_json_lines(store, *lines, options);
  }));
}

nb::dict export_to(const Handle& self, const std::string& form, nb::handle file, const nb::dict& given) {
  StoreExportOptions options;
  options.range = range_of(nb::handle(given["first"]), nb::handle(given["last"]), nb::handle(given["prefix"]), false);
  options.overwrite = nb::cast<bool>(given["overwrite"]);
  options.codec = nb::cast<std::string>(nb::str(nb::handle(given["codec"])));
  options.progress = progress_of(nb::handle(given["progress"]));
  const Path path = path_from(file);
  return report_of(released(self, [&](const Store& store) {
    if (form == "files") {
      return export_files(store, path, options);
    }
    if (form == "npz") {
      return export_npz(store, path, options);
    }
    const std::unique_ptr<Sink> to = file_sink(path);
    const StoreExchangeReport report = export_json_lines(store, *to, options);
    to->close();
    return report;
  }));
}

// --- Shuffled epochs -------------------------------------------------------------------------------------------------

/// A permutation of 0 to `count` - 1 that is known at each place without being held: a Feistel network over the
/// smallest even power of two that has room, applied again while it leads outside (J. Black and P. Rogaway, Ciphers
/// with arbitrary finite domains, 2002).
class Permutation {
 public:
  Permutation(std::uint64_t count, std::uint64_t seed, std::uint64_t epoch)
      : count_(count), half_(std::max(1U, (static_cast<unsigned>(std::bit_width(count - 1)) + 1) / 2)) {
    std::uint64_t key = integer_hash(seed ^ integer_hash(epoch));
    for (std::uint64_t& round : rounds_) {
      round = key = integer_hash(key);
    }
  }
  std::uint64_t operator()(std::uint64_t place) const noexcept {
    do {
      place = once(place);
    } while (place >= count_);
    return place;
  }

 private:
  std::uint64_t once(std::uint64_t value) const noexcept {
    const std::uint64_t mask = (std::uint64_t{1} << half_) - 1;
    std::uint64_t left = value >> half_;
    std::uint64_t right = value & mask;
    for (const std::uint64_t round : rounds_) {
      left ^= (integer_hash(right ^ round) >> 32) & mask;
      std::swap(left, right);
    }
    return right << half_ | left;
  }
  std::uint64_t count_;
  unsigned half_;  // bits
  std::uint64_t rounds_[6];
};

/// The indices at `places` of the epoch, an array of int64.
nb::object shuffled(std::uint64_t count, std::uint64_t seed, std::uint64_t epoch, nb::handle places) {
  const nb::object array = own(PyArray_FROM_OTF(places.ptr(), NPY_INT64, NPY_ARRAY_IN_ARRAY));
  auto* const given = reinterpret_cast<PyArrayObject*>(array.ptr());
  const auto size = static_cast<std::uint64_t>(PyArray_SIZE(given));
  const auto* const first = reinterpret_cast<const std::int64_t*>(PyArray_BYTES(given));
  nb::object made = empty_array(DType::Kind::int64, {size});
  auto* const out = reinterpret_cast<std::int64_t*>(bytes_of(made).data());
  if (size > 0 && (count == 0 || count > std::uint64_t{1} << 62)) {
    raise(PyExc_ValueError, "no items to shuffle");
  }
  const Permutation permutation(std::max<std::uint64_t>(count, 1), seed, epoch);
  for (std::uint64_t i = 0; i < size; ++i) {
    if (first[i] < 0 || static_cast<std::uint64_t>(first[i]) >= count) {
      raise(PyExc_IndexError, "a place beyond the items");
    }
    out[i] = static_cast<std::int64_t>(permutation(static_cast<std::uint64_t>(first[i])));
  }
  return made;
}

void bind_key_list(nb::module_& module) {
  nb::class_<KeyList> list(module, "StoreKeyList");
  list.def(nb::init<>());
  list.def_static(
      "of_range",
      [](const Handle& self, nb::handle from, nb::handle to, nb::handle prefix) {
        const StoreKeyRange range = range_of(from, to, prefix, false);
        return released(self, [&](const Store& store) {
          auto made = std::make_unique<KeyList>();
          for (const StoreKey& key : store.keys(range)) {
            made->add(key);
          }
          return made.release();
        });
      },
      nb::arg("store"), nb::arg("first").none(), nb::arg("last").none(), nb::arg("prefix").none());
  list.def_static("of_keys", [](nb::handle keys) {
    auto made = std::make_unique<KeyList>();
    for (const nb::handle key : keys) {
      made->add(required_key(key));
    }
    return made.release();
  });
  list.def("__len__", &KeyList::size);
  list.def("keys", [](const KeyList& self, nb::handle indices) {
    nb::list made;
    for (const StoreKey& key : keys_at(self, indices)) {
      made.append(key_object(key));
    }
    return made;
  });
  list.def("__getstate__", [](const KeyList& self) {
    nb::object ends = empty_array(DType::Kind::uint64, {self.ends.size()});
    std::copy(self.ends.begin(), self.ends.end(), reinterpret_cast<std::uint64_t*>(bytes_of(ends).data()));
    return nb::make_tuple(nb::bytes(self.bytes.data(), self.bytes.size()), ends);
  });
  list.def("__setstate__", [](KeyList& self, const nb::tuple& state) {
    const auto bytes = nb::cast<nb::bytes>(nb::object(state[0]));
    const nb::object ends = own(PyArray_FROM_OTF(nb::object(state[1]).ptr(), NPY_UINT64, NPY_ARRAY_IN_ARRAY));
    const MutableBytes held = bytes_of(ends);
    const auto* const first = reinterpret_cast<const std::uint64_t*>(held.data());
    const std::span all(first, held.size() / 8);
    if (!std::is_sorted(all.begin(), all.end()) || (all.empty() ? 0 : all.back()) != bytes.size()) {
      raise(PyExc_ValueError, "a list of keys that contradicts itself");
    }
    new (&self) KeyList{std::string(bytes.c_str(), bytes.size()), {all.begin(), all.end()}};
  });
}

}  // namespace

void bind_store(nb::module_& module) {
  nb::class_<Handle> bound(module, "Store");
  bound.def_static("open", [](nb::handle file, nb::handle mode, nb::handle resolve, bool inert, const nb::dict& given) {
    const Path path = path_from(file);
    const StoreMode opened = mode_of(mode);
    const StoreOptions options = store_options(given);
    std::optional<Store> store;
    {
      const nb::gil_scoped_release without;
      store.emplace(Store::open(path, opened, options));
    }
    return new Handle(std::move(*store), Trust{nb::borrow(resolve), inert});
  });
  bound.def_static(
      "recover",
      [](nb::handle folder, nb::handle progress) {
        const Path path = path_from(folder);
        const StoreProgress report = progress_of(progress);
        StoreReport found;
        {
          const nb::gil_scoped_release without;
          found = Store::recover(path, report);
        }
        return report_of(found);
      },
      nb::arg("folder"), nb::arg("progress").none());
  bound.def_prop_ro("is_open", &Handle::is_open);
  bound.def("close", &Handle::close);

  bound.def(
      "get",
      [](const Handle& self, nb::handle key, nb::handle absent) {
        const std::optional<StoreKey> made = key_of(key);
        const std::optional<StoreValue> found =
            made ? released(self, [&](const Store& store) { return store.view(*made); }) : std::nullopt;
        return found ? value_object(*found, self.trust) : nb::borrow<nb::object>(absent);
      },
      nb::arg("key"), nb::arg("default").none());
  bound.def("get_buffer", [](const Handle& self, nb::handle key) -> nb::object {
    const std::optional<StoreKey> made = key_of(key);
    const std::optional<StoreValue> found =
        made ? released(self, [&](const Store& store) { return store.view(*made); }) : std::nullopt;
    return found ? bytes_in_place(*found) : nb::none();
  });
  bound.def("get_many", &get_many, nb::arg("keys"), nb::arg("default").none());
  bound.def("get_at", &get_at);
  bound.def("contains", [](const Handle& self, nb::handle key) {
    const std::optional<StoreKey> made = key_of(key);
    return made && released(self, [&](const Store& store) { return store.contains(*made); });
  });
  bound.def("size", [](const Handle& self) { return released(self, [](const Store& store) { return store.size(); }); });

  bound.def(
      "put",
      [](const Handle& self, nb::handle key, nb::handle value) {
        const StoreKey made = required_key(key);
        const std::shared_ptr<Store> store = self.get();
        put(*store, made, value);
      },
      nb::arg("key"), nb::arg("value").none());
  bound.def("erase", [](const Handle& self, nb::handle key) {
    const std::optional<StoreKey> made = key_of(key);
    return made && released(self, [&](Store& store) { return store.erase(*made); });
  });
  bound.def("commit", [](const Handle& self) { released(self, [](Store& store) { store.commit(); }); });
  bound.def("flush", [](const Handle& self) { released(self, [](Store& store) { store.flush(); }); });
  bound.def("release", [](const Handle& self) { released(self, [](Store& store) { store.release(); }); });
  bound.def("batch", [](Handle& self) { return new Batch(self); }, nb::keep_alive<0, 1>());

  bound.def(
      "keys",
      [](const Handle& self, nb::handle from, nb::handle to, nb::handle prefix, bool reverse) {
        const StoreKeyRange range = range_of(from, to, prefix, reverse);
        return cursor_over(self, [&](const Store& store) { return store.keys(range); });
      },
      nb::keep_alive<0, 1>(), nb::arg("first").none(), nb::arg("last").none(), nb::arg("prefix").none(),
      nb::arg("reverse"));
  bound.def(
      "items",
      [](const Handle& self, nb::handle from, nb::handle to, nb::handle prefix, bool reverse) {
        const StoreKeyRange range = range_of(from, to, prefix, reverse);
        return cursor_over(self, [&](const Store& store) { return store.items(range); });
      },
      nb::keep_alive<0, 1>(), nb::arg("first").none(), nb::arg("last").none(), nb::arg("prefix").none(),
      nb::arg("reverse"));
  bound.def(
      "by_insertion",
      [](const Handle& self) { return cursor_over(self, [](const Store& store) { return store.by_insertion(); }); },
      nb::keep_alive<0, 1>());
  bound.def(
      "by_size",
      [](const Handle& self, bool reverse) {
        return cursor_over(self, [&](const Store& store) { return store.by_size(reverse); });
      },
      nb::keep_alive<0, 1>());
  bound.def(
      "shuffled",
      [](const Handle& self, std::uint64_t seed) {
        return cursor_over(self, [&](const Store& store) { return store.shuffled(seed); });
      },
      nb::keep_alive<0, 1>());
  bound.def(
      "sample",
      [](const Handle& self, std::uint64_t count, std::uint64_t seed) {
        return cursor_over(self, [&](const Store& store) { return store.sample(count, seed); });
      },
      nb::keep_alive<0, 1>());

  bound.def("stats", &stats);
  bound.def(
      "check",
      [](const Handle& self, nb::handle progress) {
        const StoreProgress report = progress_of(progress);
        return report_of(released(self, [&](const Store& store) { return store.check(report); }));
      },
      nb::arg("progress").none());
  bound.def(
      "verify",
      [](const Handle& self, nb::handle progress) {
        const StoreProgress report = progress_of(progress);
        released(self, [&](const Store& store) { store.verify(report); });
      },
      nb::arg("progress").none());
  bound.def(
      "vacuum",
      [](const Handle& self, double dead_share, nb::handle progress) {
        const StoreVacuumOptions options{dead_share, progress_of(progress)};
        return released(self, [&](Store& store) { return store.vacuum(options); });
      },
      nb::arg("dead_share"), nb::arg("progress").none());
  bound.def("train_dictionary", [](const Handle& self, std::uint64_t samples, std::size_t bytes) {
    released(self, [&](Store& store) { store.train_dictionary(samples, bytes); });
  });
  bound.def(
      "compact_to",
      [](const Handle& self, nb::handle file, nb::handle progress) {
        const Path path = path_from(file);
        const StoreProgress report = progress_of(progress);
        released(self, [&](const Store& store) { store.compact_to(path, report); });
      },
      nb::arg("file"), nb::arg("progress").none());
  bound.def("import_from", &import_from);
  bound.def("export_to", &export_to);

  nb::class_<Batch> batch(module, "StoreBatch");
  batch.def("commit", &Batch::commit);
  batch.def("undo", &Batch::undo);
  batch.def_prop_ro("open", &Batch::open);
  nb::class_<Cursor> cursor(module, "StoreCursor");
  cursor.def("next", &Cursor::next);
  bind_key_list(module);
  module.def("shuffled_indices", &shuffled);
}

}  // namespace stele::python

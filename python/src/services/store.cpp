// Store. Its calls run without the GIL: a thread that writes holds the store's lock and takes the GIL to walk an object.

#include <optional>

#include "numpy.hpp"
#include "objects/graph.hpp"
#include "services/services.hpp"
#include "stele/archive.hpp"
#include "stele/error.hpp"
#include "stele/store.hpp"
#include "stele/value.hpp"
#include "streams.hpp"

namespace stele::python {
namespace {

StoreKey key_of(nb::handle key) {
  if (PyUnicode_Check(key.ptr())) {
    std::string_view view;
    if (!utf8(key.ptr(), view)) {
      raise(PyExc_ValueError, "a key with surrogates");
    }
    return StoreKey(view);
  }
  if (PyBytes_Check(key.ptr())) {
    const Bytes bytes{reinterpret_cast<const std::byte*>(PyBytes_AsString(key.ptr())),
                      static_cast<std::size_t>(PyBytes_Size(key.ptr()))};
    return StoreKey(bytes);
  }
  if (PyIndex_Check(key.ptr()) && !PyBool_Check(key.ptr())) {
    const nb::object index = own(PyNumber_Index(key.ptr()));
    int overflow = 0;
    const long long number = PyLong_AsLongLongAndOverflow(index.ptr(), &overflow);
    if (overflow == 0) {
      return StoreKey(number);
    }
    const unsigned long long natural = overflow > 0 ? PyLong_AsUnsignedLongLong(index.ptr()) : 0;
    if (overflow > 0 && PyErr_Occurred() == nullptr) {
      return StoreKey(natural);
    }
    PyErr_Clear();
    raise(PyExc_OverflowError, "a key below -2**63 or above 2**64 - 1");
  }
  raise(PyExc_TypeError, "a key is a str, bytes or an int, not " +
                             nb::cast<std::string>(nb::str(nb::getattr(key.type(), "__name__"))));
}

nb::object object_of(const StoreKey& key) {
  switch (key.kind()) {
    case StoreKey::Kind::integer:
      try {
        return nb::int_(key.integer());
      } catch (const Error&) {
        return nb::int_(key.natural());
      }
    case StoreKey::Kind::bytes: {
      const Bytes bytes = key.bytes();
      return nb::bytes(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    }
    default:
      return text(key.text());
  }
}

std::optional<StoreKey> bound_of(nb::handle key) {
  return key.is_none() ? std::nullopt : std::optional(key_of(key));
}

nb::dict dict_of(const StoreReport& report) {
  nb::dict made;
  made["values"] = report.values;
  made["bytes"] = report.bytes;
  made["lost_bytes"] = report.lost_bytes;
  made["lost_shards"] = report.lost_shards;
  made["lost_values"] = report.lost_values;
  made["problem_count"] = report.problem_count;
  nb::list problems;
  for (const std::string& problem : report.problems) {
    problems.append(text(problem));
  }
  made["problems"] = problems;
  nb::list uncertain;
  for (const StoreKey& key : report.uncertain) {
    uncertain.append(object_of(key));
  }
  made["uncertain"] = uncertain;
  return made;
}

/// Calls `work` without the GIL.
template <class F>
auto released(F&& work) {
  const nb::gil_scoped_release gil;
  return work();
}

class Cursor {
 public:
  Cursor(StoreItems items, bool with_values) : items_(std::move(items)), with_values_(with_values) {}
  Cursor(StoreKeys keys) : keys_(std::move(keys)) {}

  /// The next item; false at the end.
  bool next() {
    return with_values_ || items_ ? step(*items_, item_at_, [&](const StoreItem& item) { item_ = item; })
                                  : step(*keys_, key_at_, [&](const StoreKey& key) { item_.key = key; });
  }
  const StoreItem& item() const { return item_; }

 private:
  template <class Range, class At, class Take>
  bool step(Range& range, std::optional<At>& at, Take&& take) {
    if (!at) {
      at.emplace(range.begin());
    } else if (*at != range.end()) {
      ++*at;
    }
    if (*at == range.end()) {
      return false;
    }
    take(**at);
    return true;
  }
  std::optional<StoreItems> items_;
  std::optional<StoreKeys> keys_;
  std::optional<StoreItems::iterator> item_at_;
  std::optional<StoreKeys::iterator> key_at_;
  const bool with_values_ = false;
  StoreItem item_;
};

class Held {
 public:
  Held(const Path& path, StoreMode mode, const StoreOptions& options, nb::handle resolve, bool inert)
      : trust_{nb::borrow(resolve), inert}, store_(released([&] { return Store::open(path, mode, options); })) {}

  Store& store() {
    if (!store_) {
      raise(PyExc_ValueError, "the store is closed");
    }
    return *store_;
  }
  void close() {
    batch_.reset();
    if (store_) {
      released([&] { store_->close(); });
      released([&] { store_.reset(); });
    }
  }

  nb::object object_of_value(const StoreValue& value) const {
    if (value.is_text()) {
      const Value checked = released([&] { return Value(value.as<std::string>()); });
      return text(checked.text());
    }
    if (value.is_bytes()) {
      const std::vector<std::byte> bytes = released([&] { return value.as<std::vector<std::byte>>(); });
      return nb::bytes(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    }
    const Value tree = released([&] { return value.as<Value>(); });
    GraphIn graph(trust_);
    const std::unique_ptr<InVisitor> in = value_reader(tree);
    read_whole(*in, graph, [] {});
    return graph.result;
  }
  void put(nb::handle key, nb::handle value) {
    const StoreKey at = key_of(key);
    Store& into = store();
    std::string_view view;
    if (PyUnicode_CheckExact(value.ptr()) && utf8(value.ptr(), view)) {
      return released([&] { into.put(at, view); });
    }
    if (PyBytes_CheckExact(value.ptr())) {
      const Bytes bytes{reinterpret_cast<const std::byte*>(PyBytes_AsString(value.ptr())),
                        static_cast<std::size_t>(PyBytes_Size(value.ptr()))};
      return released([&] { into.put(at, bytes); });
    }
    const GraphOut graph(value);
    released([&] { into.put(at, graph); });
  }
  nb::object find(nb::handle key, nb::handle missing) {
    const StoreKey at = key_of(key);
    const std::optional<StoreValue> found = released([&, &from = store()] { return from.view(at); });
    return found ? object_of_value(*found) : nb::borrow(missing);
  }
  nb::list get_many(nb::handle keys, nb::handle missing) {
    std::vector<StoreKey> wanted;
    for (const nb::handle key : keys) {
      wanted.push_back(key_of(key));
    }
    std::vector<std::optional<StoreValue>> found(wanted.size());
    released([&, &from = store()] {
      from.view_many(wanted, [&](std::size_t i, const StoreValue& value) { found[i] = value; });
    });
    nb::list made;
    for (const std::optional<StoreValue>& value : found) {
      made.append(value ? object_of_value(*value) : nb::borrow(missing));
    }
    return made;
  }
  void begin() {
    if (batch_) {
      raise(PyExc_ValueError, "the store has a batch already");
    }
    Store& of = store();
    released([&] { batch_.emplace(of.batch()); });
  }
  void end(bool commit) {
    if (!batch_) {
      raise(PyExc_ValueError, "the store has no batch");
    }
    released([&] {
      if (commit) {
        batch_->commit();
      }
      batch_.reset();
    });
  }

 private:
  Trust trust_;
  std::optional<Store> store_;
  std::optional<StoreBatch> batch_;
};

nb::dict stats_of(const StoreStats& stats) {
  nb::dict made;
  made["values"] = stats.values;
  made["live_bytes"] = stats.live_bytes;
  made["dead_bytes"] = stats.dead_bytes;
  made["index_bytes"] = stats.index_bytes;
  made["commits"] = stats.commits;
  made["codec"] = text(stats.codec);
  made["shards"] = stats.shards.size();
  return made;
}

StoreOptions options_of(const nb::dict& given) {
  StoreOptions options;
  const auto durability = nb::cast<std::string>(nb::str(nb::handle(given["durability"])));
  options.durability = durability == "commit" ? StoreDurability::commit
                       : durability == "put"  ? StoreDurability::put
                                              : StoreDurability::none;
  options.codec = nb::cast<std::string>(nb::str(nb::handle(given["codec"])));
  const nb::object level = given["level"];
  if (!level.is_none()) {
    options.level = nb::cast<int>(level);
  }
  options.shard_bytes = nb::cast<std::uint64_t>(given["shard_bytes"]);
  options.wait_ms = nb::cast<unsigned>(given["wait_ms"]);
  return options;
}

Path folder_of(nb::handle file) {
  std::string path;
  if (!path_of(file, path)) {
    raise(PyExc_TypeError, "expected a path");
  }
  return Path(path);
}

}  // namespace

void bind_store(nb::module_& module) {
  nb::class_<Cursor>(module, "StoreCursor");
  nb::class_<Held> bound(module, "Store");
  bound.def_static("open", [](nb::handle path, const std::string& mode, const nb::dict& options, nb::handle resolve,
                              bool inert) {
    return new Held(folder_of(path), mode == "r"    ? StoreMode::read_only
                                     : mode == "r+" ? StoreMode::read_write
                                                    : StoreMode::create,
                    options_of(options), resolve, inert);
  });
  bound.def_static("recover", [](nb::handle path) {
    const Path folder = folder_of(path);
    return dict_of(released([&] { return Store::recover(folder); }));
  });
  bound.def("put", &Held::put, nb::arg("key"), nb::arg("value").none());
  bound.def("find", &Held::find, nb::arg("key"), nb::arg("missing").none());
  bound.def("get_many", &Held::get_many, nb::arg("keys"), nb::arg("missing").none());
  bound.def("erase", [](Held& self, nb::handle key) {
    const StoreKey at = key_of(key);
    return released([&, &from = self.store()] { return from.erase(at); });
  });
  bound.def("contains", [](Held& self, nb::handle key) {
    const StoreKey at = key_of(key);
    return released([&, &from = self.store()] { return from.contains(at); });
  });
  bound.def("size", [](Held& self) { return released([&of = self.store()] { return of.size(); }); });
  bound.def("begin", &Held::begin);
  bound.def("end", &Held::end);
  bound.def("commit", [](Held& self) { released([&of = self.store()] { of.commit(); }); });
  bound.def("flush", [](Held& self) { released([&of = self.store()] { of.flush(); }); });
  bound.def("release", [](Held& self) { released([&of = self.store()] { of.release(); }); });
  bound.def("close", &Held::close);
  bound.def("keys", [](Held& self, nb::handle from, nb::handle to, nb::handle prefix, bool reverse) {
    const StoreKeyRange range{bound_of(from), bound_of(to), bound_of(prefix), reverse};
    return released([&, &of = self.store()] { return new Cursor(of.keys(range)); });
  }, nb::keep_alive<0, 1>(), nb::arg("from_").none(), nb::arg("to").none(), nb::arg("prefix").none(), nb::arg("reverse"));
  bound.def("items", [](Held& self, nb::handle from, nb::handle to, nb::handle prefix, bool reverse) {
    const StoreKeyRange range{bound_of(from), bound_of(to), bound_of(prefix), reverse};
    return released([&, &of = self.store()] { return new Cursor(of.items(range), true); });
  }, nb::keep_alive<0, 1>(), nb::arg("from_").none(), nb::arg("to").none(), nb::arg("prefix").none(), nb::arg("reverse"));
  bound.def("sample", [](Held& self, std::uint64_t count, std::uint64_t seed) {
    return released([&, &of = self.store()] { return new Cursor(of.sample(count, seed), true); });
  }, nb::keep_alive<0, 1>());
  bound.def("shuffled", [](Held& self, std::uint64_t seed) {
    return released([&, &of = self.store()] { return new Cursor(of.shuffled(seed), true); });
  }, nb::keep_alive<0, 1>());
  // The next (key, value) or key; `end` after the last.
  bound.def("next_item", [](Held& self, Cursor& cursor, nb::handle end) -> nb::object {
    self.store();
    if (!released([&] { return cursor.next(); })) {
      return nb::borrow(end);
    }
    return nb::make_tuple(object_of(cursor.item().key), self.object_of_value(cursor.item().value));
  });
  bound.def("next_key", [](Held& self, Cursor& cursor, nb::handle end) -> nb::object {
    self.store();
    return released([&] { return cursor.next(); }) ? object_of(cursor.item().key) : nb::borrow(end);
  });
  bound.def("stats", [](Held& self) { return stats_of(released([&of = self.store()] { return of.stats(); })); });
  bound.def("check", [](Held& self) { return dict_of(released([&of = self.store()] { return of.check(); })); });
  bound.def("verify", [](Held& self) { released([&of = self.store()] { of.verify(); }); });
  bound.def("vacuum", [](Held& self, double dead_share) {
    return released([&, &of = self.store()] { return of.vacuum({.dead_share = dead_share}); });
  });
  bound.def("train_dictionary", [](Held& self, std::uint64_t samples) {
    released([&, &of = self.store()] { of.train_dictionary(samples); });
  });
  bound.def("compact_to", [](Held& self, nb::handle file) {
    const Path path = folder_of(file);
    released([&, &of = self.store()] { of.compact_to(path); });
  });
}

}  // namespace stele::python

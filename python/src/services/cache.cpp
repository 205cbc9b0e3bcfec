// Cache. Its calls run without the GIL; where an object is walked, the walk takes it.

#include "stele/cache.hpp"

#include <nanobind/stl/optional.h>

#include "objects/graph.hpp"
#include "objects/no_collection.hpp"
#include "options.hpp"
#include "services/services.hpp"
#include "stele/error.hpp"
#include "stele/value.hpp"
#include "streams.hpp"
#include "watch.hpp"

namespace stele::python {
namespace {

Digest digest_from(const nb::bytes& key) {
  Digest digest;
  if (key.size() != digest.bytes.size()) {
    raise(PyExc_ValueError, "a key has 16 bytes");
  }
  std::copy_n(static_cast<const std::byte*>(key.data()), digest.bytes.size(), digest.bytes.begin());
  return digest;
}

nb::bytes digest_to(const Digest& digest) { return nb::bytes(digest.bytes.data(), digest.bytes.size()); }

nb::dict entry_to(const CacheEntry& entry) {
  nb::dict made;
  made["key"] = text(entry.key.text());
  made["name"] = text(entry.name);
  made["version"] = text(entry.version);
  made["time"] = entry.created;
  made["duration"] = entry.duration;
  made["expires"] = entry.expires == 0 ? nb::none() : nb::object(nb::float_(entry.expires));
  made["last_used"] = entry.last_used;
  made["hits"] = entry.hits;
  made["bytes"] = entry.bytes;
  made["pinned"] = entry.pinned;
  made["from_remote"] = entry.from_remote;
  made["file"] = entry.file.empty() ? nb::none() : nb::object(nb::cast(entry.file));
  made["metadata"] = metadata_to(entry.metadata);
  return made;
}

/// Reads what `read_into` fills, or, where it is stored in parts, what `as_value` returns.
template <class Into, class Whole>
nb::object made_from(const Trust& trust, Into&& read_into, Whole&& as_value) {
  const NoCollection guard;
  try {
    GraphIn graph(trust);
    read_into(graph);
    return graph.result;
  } catch (const StoredInParts&) {
  }
  Value whole;
  {
    const nb::gil_scoped_release released;
    whole = as_value();
  }
  GraphIn graph(trust);
  const std::unique_ptr<InVisitor> in = value_reader(whole);
  read_whole(*in, graph, [] {});
  return graph.result;
}

/// Without the GIL: what has expired is removed under a lock that others hold when they warn.
std::optional<CacheFound> found_in(Cache& cache, const Digest& key, bool counts) {
  const nb::gil_scoped_release released;
  return cache.find(key, counts);
}

nb::object value_of(const CacheFound& found, const Trust& trust) {
  if (found.entry().file.empty()) {
    return made_from(
        trust,
        [&](GraphIn& graph) {
          const std::unique_ptr<CacheFound::Part> part = found.open();
          read_whole(part->visitor(), graph, [&] { part->finish(); });
        },
        [&] { return found.as<Value>(); });
  }
  const Path path(found.entry().file);
  return made_from(
      trust,
      [&](GraphIn& graph) {
        std::optional<Reader> in;
        {
          const nb::gil_scoped_release released;
          in.emplace(path, found.options());
        }
        in->read_into(graph);
      },
      [&] { return load<Value>(path, found.options()); });
}

/// A cache that ends its work with the remote without the GIL, as the thread of that may want it.
struct HeldCache : Cache {
  explicit HeldCache(Cache cache) : Cache(std::move(cache)) {}
  ~HeldCache() {
    const Uninterrupted whole;
    const nb::gil_scoped_release released;
    try {
      close();
    } catch (const std::exception&) {  // a destructor does not throw
    }
  }
};

class Flight {
 public:
  explicit Flight(CacheFlight flight) : flight_(std::move(flight)) {}
  bool alone() const noexcept { return flight_ && flight_->alone(); }
  void end() {
    const nb::gil_scoped_release released;
    flight_.reset();
  }

 private:
  std::optional<CacheFlight> flight_;
};

CacheOptions options_from(const nb::dict& given) {
  CacheOptions options;
  nb::dict saving;
  nb::dict loading;
  for (const auto& [key, value] : given) {
    const std::string name = nb::cast<std::string>(key);
    if (value.is_none()) {
      continue;
    }
    if (name == "mmap_mode" || name == "verify") {
      loading[key] = value;
    } else if (name == "codec" || name == "level" || name == "filter" || name == "threads") {
      saving[key] = value;
    } else if (name == "small_bytes") {
      options.small_bytes = nb::cast<std::uint64_t>(value);
    } else if (name == "bytes_limit") {
      options.bytes_limit = nb::cast<std::uint64_t>(value);
    } else if (name == "items_limit") {
      options.items_limit = nb::cast<std::uint64_t>(value);
    } else if (name == "age_limit") {
      options.age_limit_s = nb::cast<double>(value);
    } else if (name == "item_share") {
      options.item_share = nb::cast<double>(value);
    } else if (name == "wait") {
      options.wait_s = nb::cast<double>(value);
    } else if (name == "read_only") {
      options.read_only = nb::cast<bool>(value);
    } else if (name == "remote") {
      if (!path_of(value, options.remote)) {
        raise(PyExc_TypeError, "remote: expected a path");
      }
    } else if (name == "remote_wait") {
      options.remote_wait_s = nb::cast<double>(value);
    } else if (name == "warn") {
      options.warn = warning(value);
    } else {
      raise(PyExc_TypeError, "unknown option " + name);
    }
  }
  const SaveOptions save = save_options(saving);
  options.codec = save.codec.empty() ? "plain" : save.codec;
  options.level = save.level;
  options.filter = save.filter;
  options.threads = save.threads;
  const LoadOptions load = load_options(loading);
  options.map = load.map;
  options.verify = load.verify;
  return options;
}

/// Python's `progress`, called with what is done and all; a signal handler that raises ends the work.
CacheProgress progress_from(nb::handle progress) {
  if (progress.is_none()) {
    return {};
  }
  return [progress](std::uint64_t done, std::uint64_t total) {
    const nb::gil_scoped_acquire held;
    return !progress(done, total).is(nb::handle(Py_False));
  };
}

CacheCall call_from(std::string_view name, std::string_view version, double expires_after, nb::handle metadata,
                    bool pinned) {
  return {.name = name,
          .version = version,
          .expires_after_s = expires_after,
          .metadata = metadata.is_none() ? Metadata() : metadata_from(metadata),
          .pinned = pinned};
}

}  // namespace

void bind_cache(nb::module_& module) {
  module.def(
      "digest",
      [](nb::handle object) { return digest_to(hash(GraphOut(object, true), HashOptions{.ignore_order = true})); },
      nb::arg("value").none(), "The content hash of an object, 16 bytes; arrays count the same in either order.");

  nb::class_<Flight>(module, "CacheFlight").def("end", &Flight::end).def_prop_ro("alone", &Flight::alone);

  nb::class_<CacheFound> found(module, "CacheFound");
  found.def_prop_ro("entry", [](const CacheFound& self) { return entry_to(self.entry()); });
  found.def_prop_ro("file", [](const CacheFound& self) { return self.entry().file; });
  found.def("value", [](const CacheFound& self, nb::handle resolve, bool inert) {
    return value_of(self, Trust{nb::borrow(resolve), inert});
  });

  nb::class_<HeldCache> cache(module, "Cache");
  cache.def_static("open", [](nb::handle folder, const nb::dict& options) {
    std::string path;
    if (!path_of(folder, path)) {
      raise(PyExc_TypeError, "expected a path");
    }
    const CacheOptions given = options_from(options);
    const nb::gil_scoped_release released;
    return new HeldCache(Cache::open(Path(path), given));
  });
  cache.def_prop_ro("folder", [](const HeldCache& self) { return self.folder(); });
  cache.def_prop_ro("removed", [](const HeldCache& self) { return self.removed(); });
  cache.def("leave", [](HeldCache& self) { self.leave(); });
  cache.def("find", [](HeldCache& self, const nb::bytes& key, bool count) -> nb::object {
    std::optional<CacheFound> result = found_in(self, digest_from(key), count);
    return result ? nb::cast(std::move(*result)) : nb::none();
  });
  cache.def(
      "fetch",
      [](HeldCache& self, const nb::bytes& key) -> nb::object {
        const Digest digest = digest_from(key);
        std::optional<CacheFound> result;
        {
          const nb::gil_scoped_release released;
          result = self.fetch(digest);
        }
        return result ? nb::cast(std::move(*result)) : nb::none();
      },
      nb::call_guard<Interruptible>());
  // The usual hit in one call. `remote_resolve` is for results of a remote. `found`: what fetch() has returned.
  cache.def(
      "get",
      [](HeldCache& self, const nb::bytes& key, nb::handle resolve, nb::handle remote_resolve, nb::handle absent,
         nb::handle found) {
        const Digest digest = digest_from(key);
        const std::optional<CacheFound> result =
            found.is_none() ? found_in(self, digest, false) : std::optional(nb::cast<const CacheFound&>(found));
        if (!result) {
          return nb::borrow<nb::object>(absent);
        }
        try {
          const nb::handle trusted = result->entry().from_remote ? remote_resolve : resolve;
          nb::object value = value_of(*result, Trust{nb::borrow(trusted), false});
          self.count(&result->entry());
          return value;
        } catch (const Error& error) {
          const nb::gil_scoped_release released;
          self.reject(*result, error);
        } catch (const nb::python_error& error) {
          // A class that has changed, say. What is not trusted the caller must decide on.
          if (!error.matches(PyExc_Exception) || error.matches(PyExc_MemoryError) ||
              error.matches(imported("stele._errors", "UntrustedError"))) {
            throw;
          }
          const Error failure(Errc::unsupported, std::string("it cannot be rebuilt: ") + error.what());
          const nb::gil_scoped_release released;
          self.reject(*result, failure);
        }
        return nb::borrow<nb::object>(absent);
      },
      nb::arg("key"), nb::arg("resolve").none(), nb::arg("remote_resolve").none(), nb::arg("absent").none(),
      nb::arg("found").none() = nb::none());
  cache.def("count_miss", [](HeldCache& self) { self.count(nullptr); });
  cache.def(
      "flight",
      [](HeldCache& self, const nb::bytes& key, std::optional<double> wait) {
        const Digest digest = digest_from(key);
        const nb::gil_scoped_release released;
        return new Flight(self.flight(digest, wait));
      },
      nb::arg("key"), nb::arg("wait") = nb::none(), nb::keep_alive<0, 1>(), nb::call_guard<Interruptible>());
  cache.def(
      "put",
      [](HeldCache& self, const std::string& name, const std::string& version, const nb::bytes& key, double duration,
         nb::handle value, double expires_after, nb::handle metadata, bool pinned) {
        const Digest digest = digest_from(key);
        const CacheCall call = call_from(name, version, expires_after, metadata, pinned);
        CacheEntry entry;
        {
          const GraphOut graph(value);
          const nb::gil_scoped_release released;
          entry = self.put(call, digest, duration, graph);
        }
        return entry_to(entry);
      },
      nb::arg("name"), nb::arg("version"), nb::arg("key"), nb::arg("duration"), nb::arg("value").none(),
      nb::arg("expires_after"), nb::arg("metadata").none(), nb::arg("pinned"));
  cache.def("erase", [](HeldCache& self, const nb::bytes& key, bool remote) {
    const Digest digest = digest_from(key);
    const nb::gil_scoped_release released;
    return self.erase(digest, remote);
  });
  const nb::call_guard<Interruptible> interruptible;
  cache.def(
      "flush",
      [](HeldCache& self, double wait) {
        const nb::gil_scoped_release released;
        return self.flush(wait);
      },
      interruptible);
  cache.def(
      "close",
      [](HeldCache& self) {
        const nb::gil_scoped_release released;
        self.close();
      },
      interruptible);
  cache.def(
      "push",
      [](HeldCache& self, nb::handle progress) {
        const CacheProgress report = progress_from(progress);
        const nb::gil_scoped_release released;
        return self.push(report);
      },
      nb::arg("progress").none(), interruptible);
  cache.def(
      "clear",
      [](HeldCache& self, const std::optional<std::string>& name, const std::optional<std::string>& version) {
        const nb::gil_scoped_release released;
        return !name ? self.clear() : self.clear(*name, version ? std::optional<CacheVersion>(*version) : std::nullopt);
      },
      nb::arg("name").none(), nb::arg("version").none());
  cache.def("pin", [](HeldCache& self, const nb::bytes& key, bool pinned) {
    const Digest digest = digest_from(key);
    const nb::gil_scoped_release released;
    return self.pin(digest, pinned);
  });
  cache.def("entries", [](const HeldCache& self) {
    std::vector<CacheEntry> all;
    {
      const nb::gil_scoped_release released;
      all = self.entries();
    }
    nb::list made;
    for (const CacheEntry& entry : all) {
      made.append(entry_to(entry));
    }
    return made;
  });
  cache.def("stats", [](const HeldCache& self) {
    const CacheStats stats = self.stats();
    nb::dict made;
    made["items"] = stats.items;
    made["bytes"] = stats.bytes;
    made["segment_bytes"] = stats.segment_bytes;
    made["hits"] = stats.hits;
    made["misses"] = stats.misses;
    made["stored"] = stats.stored;
    made["evicted"] = stats.evicted;
    made["expired"] = stats.expired;
    made["damaged"] = stats.damaged;
    made["too_large"] = stats.too_large;
    made["failed"] = stats.failed;
    made["seconds_saved"] = stats.saved_s;
    made["remote_hits"] = stats.remote_hits;
    made["remote_misses"] = stats.remote_misses;
    made["remote_stored"] = stats.remote_stored;
    made["remote_failed"] = stats.remote_failed;
    return made;
  });
  cache.def(
      "prune",
      [](HeldCache& self, std::optional<std::uint64_t> bytes, std::optional<std::uint64_t> items,
         std::optional<double> age, nb::handle progress) {
        const CacheProgress report = progress_from(progress);
        const nb::gil_scoped_release released;
        return self.prune({.bytes = bytes, .items = items, .age_s = age}, report);
      },
      nb::arg("bytes").none(), nb::arg("items").none(), nb::arg("age").none(), nb::arg("progress").none());
  cache.def(
      "verify",
      [](const HeldCache& self, nb::handle progress) {
        const CacheProgress report = progress_from(progress);
        CacheReport result;
        {
          const nb::gil_scoped_release released;
          result = self.verify(report);
        }
        nb::list problems;
        for (const std::string& problem : result.problems) {
          problems.append(text(problem));
        }
        return nb::make_tuple(result.items, result.bytes, problems);
      },
      nb::arg("progress").none());
}

}  // namespace stele::python

// Cache. Its calls run without the GIL; where an object is walked, the walk takes it.

#include "stele/cache.hpp"

#include <nanobind/stl/optional.h>

#include "bindings.hpp"
#include "objects/whole.hpp"
#include "options.hpp"
#include "stele/error.hpp"
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

/// Without the GIL: what has expired is removed under a lock that others hold when they warn.
std::optional<CacheFound> found_in(Cache& cache, const Digest& key, bool counts) {
  return without_gil([&] { return cache.find(key, counts); });
}

nb::object value_of(const CacheFound& found, const Trust& trust) {
  if (found.entry().file.empty()) {
    return read_object(
        trust,
        [&](GraphIn& graph) {
          const std::unique_ptr<CacheFound::Part> part = found.open();
          read_whole(part->visitor(), graph, [&] { part->finish(); });
        },
        [&] { return found.as<Value>(); });
  }
  const Path path(found.entry().file);
  return read_object(
      trust,
      [&](GraphIn& graph) {
        without_gil([&] { return std::make_unique<Reader>(path, found.options()); })->read_into(graph);
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
  options.map = MapMode::none;
  Arguments all(given);
  all.take_coding(options);
  all.take("mmap_mode", options.map);
  all.take("verify", options.verify);
  all.take("small_bytes", options.small_bytes);
  all.take("bytes_limit", options.bytes_limit);
  all.take("items_limit", options.items_limit);
  all.take("age_limit", options.age_limit_s);
  all.take("item_share", options.item_share);
  all.take("wait", options.wait_s);
  all.take("read_only", options.read_only);
  all.take("remote_wait", options.remote_wait_s);
  if (const nb::handle remote = all.find("remote"); remote.is_valid()) {
    options.remote = path_from(remote).text();
  }
  all.take("warn", options.warn);
  all.end();
  return options;
}

CacheCall call_from(std::string_view name, std::string_view version, double expires_after, nb::handle metadata,
                    bool pinned) {
  return {.name = name,
          .version = version,
          .expires_after_s = expires_after,
          .metadata = metadata_from(metadata),
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

  nb::class_<HeldCache> cache(module, "Cache");
  cache.def_static("open", [](nb::handle folder, const nb::dict& options) {
    const Path path = path_from(folder);
    const CacheOptions given = options_from(options);
    const nb::gil_scoped_release released;
    return new HeldCache(Cache::open(path, given));
  });
  cache.def_prop_ro("folder", [](const HeldCache& self) { return self.folder(); });
  cache.def_prop_ro("removed", [](const HeldCache& self) { return self.removed(); });
  cache.def("leave", [](HeldCache& self) { self.leave(); });
  cache.def("find",
            [](HeldCache& self, const nb::bytes& key, bool count) { return found_in(self, digest_from(key), count); });
  cache.def(
      "fetch",
      [](HeldCache& self, const nb::bytes& key) {
        const Digest digest = digest_from(key);
        return without_gil([&] { return self.fetch(digest); });
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
        const GraphOut graph(value);
        return entry_to(without_gil([&] { return self.put(call, digest, duration, graph); }));
      },
      nb::arg("name"), nb::arg("version"), nb::arg("key"), nb::arg("duration"), nb::arg("value").none(),
      nb::arg("expires_after"), nb::arg("metadata").none(), nb::arg("pinned"));
  cache.def("erase", [](HeldCache& self, const nb::bytes& key, bool remote) {
    const Digest digest = digest_from(key);
    const nb::gil_scoped_release released;
    return self.erase(digest, remote);
  });
  const InterruptibleWithoutGil takes_long;
  cache.def("flush", [](HeldCache& self, double wait) { return self.flush(wait); }, takes_long);
  cache.def("close", [](HeldCache& self) { self.close(); }, takes_long);
  cache.def(
      "push", [](HeldCache& self, nb::handle progress) { return self.push(progress_of(progress)); },
      nb::arg("progress").none(), takes_long);
  cache.def(
      "clear",
      [](HeldCache& self, const std::optional<std::string>& name, const std::optional<std::string>& version) {
        return !name ? self.clear() : self.clear(*name, version ? std::optional<CacheVersion>(*version) : std::nullopt);
      },
      nb::arg("name").none(), nb::arg("version").none(), WithoutGil());
  cache.def("pin", [](HeldCache& self, const nb::bytes& key, bool pinned) {
    const Digest digest = digest_from(key);
    const nb::gil_scoped_release released;
    return self.pin(digest, pinned);
  });
  cache.def("entries", [](const HeldCache& self) {
    nb::list made;
    for (const CacheEntry& entry : without_gil([&] { return self.entries(); })) {
      made.append(entry_to(entry));
    }
    return made;
  });
  cache.def("stats", [](const HeldCache& self) {
    const CacheStats stats = self.stats();
    nb::dict made = fields_of(stats);
    made["seconds_saved"] = nb::object(made["saved_s"]);
    nb::del(made["saved_s"]);
    return made;
  });
  cache.def(
      "prune",
      [](HeldCache& self, std::optional<std::uint64_t> bytes, std::optional<std::uint64_t> items,
         std::optional<double> age, nb::handle progress) {
        return self.prune({.bytes = bytes, .items = items, .age_s = age}, progress_of(progress));
      },
      nb::arg("bytes").none(), nb::arg("items").none(), nb::arg("age").none(), nb::arg("progress").none(),
      WithoutGil());
  cache.def(
      "verify",
      [](const HeldCache& self, nb::handle progress) {
        return texts_of(without_gil([&] { return self.verify(progress_of(progress)).problems; }));
      },
      nb::arg("progress").none());
}

}  // namespace stele::python

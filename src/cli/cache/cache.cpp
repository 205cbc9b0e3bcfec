// stele cache ls, stat, prune, verify, push, clear

#include "cli/cache/cache.hpp"

#include <algorithm>
#include <chrono>

#include <nlohmann/json.hpp>

#include "cli/print/format.hpp"
#include "cli/print/progress.hpp"
#include "cli/print/report.hpp"
#include "cli/streams/interrupt.hpp"
#include "stele/cache.hpp"

namespace stele::cli {
namespace {

/// Looks at it, and makes nothing.
Cache open_to_read(const std::string& folder) { return Cache::open(folder, {.read_only = true}); }
/// Does not make a cache of a folder that is none.
Cache open_to_write(const std::string& folder, const std::string& remote = {}) {
  (void)open_to_read(folder);
  CacheOptions options;
  options.remote = remote;
  return Cache::open(folder, options);
}

double now() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

/// "12 s", "3.5 h"
std::string time_text(double seconds) {
  struct Unit {
    double seconds;
    const char* name;
  };
  for (const Unit unit : {Unit{86400, "d"}, Unit{3600, "h"}, Unit{60, "min"}, Unit{1, "s"}, Unit{1e-3, "ms"}}) {
    if (seconds >= unit.seconds) {
      return fixed(seconds / unit.seconds, seconds < 10 * unit.seconds ? 1 : 0) + " " + unit.name;
    }
  }
  return fixed(std::max(seconds, 0.0) * 1e6, 0) + " us";
}

nlohmann::ordered_json entry_json(const CacheEntry& entry) {
  nlohmann::ordered_json document;
  document["key"] = entry.key.text();
  document["name"] = entry.name;
  document["version"] = entry.version;
  document["bytes"] = entry.bytes;
  document["created"] = entry.created;
  document["last_used"] = entry.last_used;
  document["expires"] = entry.expires == 0 ? nlohmann::ordered_json() : nlohmann::ordered_json(entry.expires);
  document["duration"] = entry.duration;
  document["hits"] = entry.hits;
  document["pinned"] = entry.pinned;
  document["from_remote"] = entry.from_remote;
  document["file"] = entry.file.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(entry.file);
  document["metadata"] = nlohmann::ordered_json::object();
  for (const auto& [name, value] : entry.metadata) {
    document["metadata"][name] = value.to_string();
  }
  return document;
}

std::vector<CacheEntry> sorted_entries(const Cache& cache, const CacheOptionsGiven& options) {
  std::vector<CacheEntry> entries = cache.entries();
  std::erase_if(entries, [&](const CacheEntry& entry) {
    return (!options.name.empty() && entry.name != options.name) ||
           (!options.version.empty() && entry.version != options.version);
  });
  const auto rank = [&](const CacheEntry& entry) {
    return options.sort == "size"   ? static_cast<double>(entry.bytes)
           : options.sort == "age"  ? -entry.created
           : options.sort == "hits" ? static_cast<double>(entry.hits)
                                    : entry.last_used;
  };
  std::sort(entries.begin(), entries.end(), [&](const CacheEntry& a, const CacheEntry& b) {
    return rank(a) != rank(b) ? rank(a) > rank(b) : a.key < b.key;
  });
  entries.resize(std::min<std::size_t>(entries.size(), options.limit.value_or(entries.size())));
  return entries;
}

/// The result of long work, which is given its progress to tell and ends after Ctrl-C.
template <class Work>
auto watched(const CacheOptionsGiven& options, const char* what, Work work) {
  const InterruptGuard guard;
  Progress bar(options.folder, std::nullopt, !options.json);
  auto result = work([&](std::uint64_t done, std::uint64_t total) {
    bar.describe(std::to_string(done) + " of " + std::to_string(total) + what);
    bar.update(done);
    return !interrupted();
  });
  check_interrupt();
  return result;
}

}  // namespace

int cache_ls(const CacheOptionsGiven& options) {
  const std::vector<CacheEntry> entries = sorted_entries(open_to_read(options.folder), options);
  if (options.json) {
    nlohmann::ordered_json document;
    document["cache"] = options.folder;
    document["results"] = nlohmann::ordered_json::array();
    for (const CacheEntry& entry : entries) {
      document["results"].push_back(entry_json(entry));
    }
    print_json(document);
    return exit_fine;
  }
  const double at = now();
  Table table({1, 2, 3, 4, 5});
  table.add({"function", "size", "age", "used", "hits", "took", "version", "key"});
  for (const CacheEntry& entry : entries) {
    table.add({printable(entry.name), size_text(entry.bytes), time_text(at - entry.created),
               time_text(at - entry.last_used), std::to_string(entry.hits), time_text(entry.duration),
               printable(entry.version) + (entry.pinned ? " (pinned)" : ""), entry.key.text()});
  }
  print(table.text());
  return exit_fine;
}

int cache_stat(const CacheOptionsGiven& options) {
  const CacheStats stats = open_to_read(options.folder).stats();
  if (options.json) {
    nlohmann::ordered_json document;
    document["cache"] = options.folder;
    document["results"] = stats.items;
    document["bytes"] = stats.bytes;
    document["segment_bytes"] = stats.segment_bytes;
    document["hits"] = stats.hits;
    document["misses"] = stats.misses;
    document["stored"] = stats.stored;
    document["evicted"] = stats.evicted;
    document["expired"] = stats.expired;
    document["damaged"] = stats.damaged;
    document["too_large"] = stats.too_large;
    document["seconds_saved"] = stats.saved_s;
    document["remote_hits"] = stats.remote_hits;
    document["remote_misses"] = stats.remote_misses;
    document["remote_stored"] = stats.remote_stored;
    document["remote_failed"] = stats.remote_failed;
    print_json(document);
    return exit_fine;
  }
  Table table;
  table.add({"cache", printable(options.folder)});
  table.add({"results", std::to_string(stats.items)});
  table.add({"size", size_text(stats.bytes)});
  table.add({"small results", size_text(stats.segment_bytes) + " of files"});
  table.add({"hits", std::to_string(stats.hits)});
  table.add({"misses", std::to_string(stats.misses)});
  table.add({"stored", std::to_string(stats.stored)});
  table.add({"evicted", std::to_string(stats.evicted)});
  table.add({"expired", std::to_string(stats.expired)});
  table.add({"damaged", std::to_string(stats.damaged)});
  table.add({"too large", std::to_string(stats.too_large)});
  table.add({"time saved", time_text(stats.saved_s)});
  if (stats.remote_hits + stats.remote_misses + stats.remote_stored + stats.remote_failed > 0) {
    table.add({"remote hits", std::to_string(stats.remote_hits)});
    table.add({"remote misses", std::to_string(stats.remote_misses)});
    table.add({"remote stored", std::to_string(stats.remote_stored)});
    table.add({"remote failed", std::to_string(stats.remote_failed)});
  }
  print(table.text());
  return exit_fine;
}

int cache_prune(const CacheOptionsGiven& options) {
  Cache cache = open_to_write(options.folder);
  CachePrune limits{.bytes = options.bytes, .items = options.items};
  if (options.age >= 0) {
    limits.age_s = options.age;
  }
  const std::uint64_t removed = watched(options, " results removed",
                                        [&](const CacheProgress& progress) { return cache.prune(limits, progress); });
  const CacheStats stats = cache.stats();
  if (options.json) {
    print_json({{"cache", options.folder}, {"removed", removed}, {"results", stats.items}, {"bytes", stats.bytes}});
  } else {
    print(printable(options.folder) + ": " + std::to_string(removed) + " results removed, " +
          std::to_string(stats.items) + " left (" + size_text(stats.bytes) + ")\n");
  }
  return exit_fine;
}

int cache_verify(const CacheOptionsGiven& options) {
  const CacheReport report = watched(options, " results", [&](const CacheProgress& progress) {
    return open_to_read(options.folder).verify(progress);
  });
  if (options.json) {
    print_json({{"cache", options.folder},
                {"ok", report.good()},
                {"results", report.items},
                {"bytes", report.bytes},
                {"problems", report.problems}});
  } else {
    print(printable(options.folder) + ": " + (report.good() ? "ok" : "damaged") + " (" + std::to_string(report.items) +
          " results, " + size_text(report.bytes) + ")\n");
    for (const std::string& problem : report.problems) {
      print_error(options.folder + ": " + problem);
    }
  }
  return report.good() ? exit_fine : exit_bad_input;
}

int cache_push(const CacheOptionsGiven& options) {
  Cache cache = open_to_write(options.folder, options.remote);
  const std::uint64_t written =
      watched(options, " results", [&](const CacheProgress& progress) { return cache.push(progress); });
  if (options.json) {
    print_json({{"cache", options.folder}, {"remote", options.remote}, {"written", written}});
  } else {
    print(printable(options.folder) + ": " + std::to_string(written) + " results written to " +
          printable(options.remote) + "\n");
  }
  return exit_fine;
}

int cache_clear(const CacheOptionsGiven& options) {
  Cache cache = open_to_write(options.folder);
  const std::uint64_t removed =
      options.name.empty()
          ? cache.clear()
          : cache.clear(options.name,
                        options.version.empty() ? std::nullopt : std::optional<CacheVersion>(options.version));
  if (options.json) {
    print_json({{"cache", options.folder}, {"removed", removed}});
  } else {
    print(printable(options.folder) + ": " + std::to_string(removed) + " results removed\n");
  }
  return exit_fine;
}

}  // namespace stele::cli

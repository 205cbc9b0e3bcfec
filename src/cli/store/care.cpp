// stele store stat, verify, vacuum, recover, compact

#include <nlohmann/json.hpp>

#include "cli/print/format.hpp"
#include "cli/print/report.hpp"
#include "cli/store/store.hpp"
#include "cli/store/support.hpp"
#include "cli/streams/output.hpp"

namespace stele::cli {
namespace {

void print_stats(const std::string& name, const StoreStats& stats) {
  Table table;
  table.add({"store", printable(name)});
  table.add({"values", std::to_string(stats.values)});
  table.add({"live", exact_size(stats.live_bytes)});
  table.add({"dead", exact_size(stats.dead_bytes)});
  table.add({"index", exact_size(stats.index_bytes)});
  table.add({"codec", printable(stats.codec)});
  table.add({"commits", std::to_string(stats.commits)});
  for (const std::string& order : stats.orders) {
    table.add({"order", printable(order)});
  }
  Table shards({0, 1, 2, 3, 4});
  shards.add({"shard", "file", "values", "live", "dead"});
  for (const StoreShardStats& shard : stats.shards) {
    shards.add({std::to_string(shard.number), size_text(shard.file_bytes), std::to_string(shard.live_values),
                size_text(shard.live_bytes), size_text(shard.dead_bytes)});
  }
  print(table.text() + (stats.shards.empty() ? "" : "\n" + shards.text()));
}

nlohmann::ordered_json stats_json(const std::string& name, const StoreStats& stats) {
  nlohmann::ordered_json document;
  document["store"] = name;
  document["values"] = stats.values;
  document["live_bytes"] = stats.live_bytes;
  document["dead_bytes"] = stats.dead_bytes;
  document["index_bytes"] = stats.index_bytes;
  document["codec"] = stats.codec;
  document["commits"] = stats.commits;
  document["orders"] = stats.orders;
  document["shards"] = nlohmann::ordered_json::array();
  for (const StoreShardStats& shard : stats.shards) {
    nlohmann::ordered_json entry;
    entry["number"] = shard.number;
    entry["file_bytes"] = shard.file_bytes;
    entry["live_values"] = shard.live_values;
    entry["live_bytes"] = shard.live_bytes;
    entry["dead_bytes"] = shard.dead_bytes;
    document["shards"].push_back(std::move(entry));
  }
  return document;
}

/// Prints the result of verify() or recover(); the exit code tells whether there were problems.
int report_problems(const StoreCareOptions& options, const StoreReport& report) {
  if (options.json) {
    nlohmann::ordered_json document;
    document["store"] = options.store;
    document["ok"] = report.good();
    document["values"] = report.values;
    document["bytes"] = report.bytes;
    document["lost_bytes"] = report.lost_bytes;
    document["lost_shards"] = report.lost_shards;
    document["lost_values"] = report.lost_values;
    document["uncertain_count"] = report.uncertain_count;
    document["uncertain"] = nlohmann::ordered_json::array();
    for (const StoreKey& key : report.uncertain) {
      document["uncertain"].push_back(key_json(key));
    }
    document["problem_count"] = report.problem_count;
    document["problems"] = report.problems;
    print_json(document);
  } else {
    const std::string found = std::to_string(report.values) + " values, " + size_text(report.bytes);
    const std::string lost = report.lost_bytes > 0 ? ", " + size_text(report.lost_bytes) + " lost" : "";
    print(printable(options.store) + ": " + (report.good() ? "ok" : "damaged") + " (" + found + lost + ")\n");
    for (const std::string& problem : report.problems) {
      print_error(options.store + ": " + problem);
    }
    if (report.problem_count > report.problems.size()) {
      print_error("and " + std::to_string(report.problem_count - report.problems.size()) + " more");
    }
    for (const StoreKey& key : report.uncertain) {
      print_error(printable(options.store) + ": uncertain: " + key_text(key));
    }
    if (report.uncertain_count > report.uncertain.size()) {
      print_error("and " + std::to_string(report.uncertain_count - report.uncertain.size()) + " more");
    }
  }
  return report.good() ? exit_fine : exit_bad_input;
}

}  // namespace

int store_stat(const StoreCareOptions& options) {
  const StoreStats stats = Store::open(options.store, StoreMode::read_only).stats();
  options.json ? print_json(stats_json(options.store, stats)) : print_stats(options.store, stats);
  return exit_fine;
}

int store_verify(const StoreCareOptions& options) {
  StoreWatch watch(options.store, options.json);
  const StoreReport report = open_to_read(options.store).check(watch.progress());
  watch.finish();
  return report_problems(options, report);
}

int store_vacuum(const StoreCareOptions& options) {
  StoreWatch watch(options.store, options.json);
  Store store = Store::open(options.store, StoreMode::read_write, options.open);
  const std::uint64_t freed = store.vacuum({.dead_share = options.dead_share, .progress = watch.progress()});
  store.close();
  watch.finish();
  if (options.json) {
    print_json({{"store", options.store}, {"freed_bytes", freed}});
  } else {
    print(printable(options.store) + ": " + size_text(freed) + " freed\n");
  }
  return exit_fine;
}

int store_recover(const StoreCareOptions& options) {
  StoreWatch watch(options.store, options.json);
  const StoreReport report = Store::recover(options.store, watch.progress());
  watch.finish();
  return report_problems(options, report);
}

int store_compact(const StoreCareOptions& options) {
  refuse_compressed_name(options.output);
  StoreWatch watch(options.store, options.json);
  const Store store = open_to_read(options.store);
  store.compact_to(options.output, watch.progress());
  watch.finish();
  if (options.json) {
    const StoreStats stats = Store::open(options.output, StoreMode::read_only).stats();
    const std::uint64_t file_bytes = stats.shards.at(0).file_bytes;
    print_json({{"store", options.store}, {"output", options.output}, {"values", stats.values}, {"bytes", file_bytes}});
  }
  return exit_fine;
}

}  // namespace stele::cli

// stele checkpoints ls, show, stat, verify, prune, rm, export, diff

#include "cli/checkpoints/checkpoints.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <map>
#include <utility>

#include <nlohmann/json.hpp>

#include "archive/linked/source.hpp"
#include "cli/commands.hpp"
#include "cli/print/format.hpp"
#include "cli/print/progress.hpp"
#include "cli/print/report.hpp"
#include "cli/streams/interrupt.hpp"
#include "services/checkpoint/retention.hpp"
#include "stele/sharded.hpp"
#include "stele/value.hpp"

namespace stele::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t most_lines = 12;  // of a picture

/// Looks at it, and makes nothing.
Checkpoints open_to_read(const std::string& folder, std::function<void(const std::string&)> warn = {}) {
  return Checkpoints::open(folder, {.warn = std::move(warn), .read_only = true});
}
/// Does not make a folder where there is none.
Checkpoints open_to_write(const std::string& folder, CheckpointOptions options = {}) {
  (void)open_to_read(folder);
  options.warn = [](const std::string& message) { print_error(message); };
  return Checkpoints::open(folder, options);
}

/// What can be read; of others a line on standard error.
struct Listed {
  std::vector<CheckpointInfo> all;
  int code = exit_fine;
};
Listed listed(const std::string& folder) {
  Listed found;
  found.all = open_to_read(folder, [&](const std::string& message) {
                print_error(message);
                found.code = exit_bad_input;
              }).list();
  return found;
}

/// "2026-11-30 13:16:14Z"
std::string date_text(double seconds) {
  const auto whole = static_cast<std::time_t>(seconds);
  std::tm parts{};
  char text[40] = "?";
  if (::gmtime_r(&whole, &parts) != nullptr) {
    std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%SZ", &parts);
  }
  return text;
}

std::string metrics_text(const CheckpointInfo& info) {
  std::string text;
  for (const auto& [name, value] : info.metrics) {
    text += (text.empty() ? "" : ", ") + printable(name) + " " + short_number(value, 6);
  }
  return text;
}

Json real(double value) {
  return std::isfinite(value) ? Json(value) : Json(std::isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
}

Json info_json(const CheckpointInfo& info) {
  Json document;
  document["step"] = info.step;
  document["created"] = info.created;
  document["metrics"] = Json::object();
  for (const auto& [name, value] : info.metrics) {
    document["metrics"][name] = real(value);
  }
  document["metadata"] = Json::object();
  for (const auto& [name, value] : info.metadata) {
    document["metadata"][name] = value.to_string();
  }
  document["bytes"] = info.bytes;
  document["written"] = info.written;
  document["referred"] = info.referred;
  document["sharded"] = info.sharded;
  document["file"] = info.file;
  return document;
}

/// The metrics, and the relative change of the arrays that change most, from step to step.
void plot(const CheckpointsGiven& options, const Checkpoints& kept, const std::vector<CheckpointInfo>& infos) {
  std::map<std::string, PlotLine> metrics;
  std::map<std::string, PlotLine> changes;
  const auto add = [](std::map<std::string, PlotLine>& to, const std::string& name, std::uint64_t step, double value) {
    PlotLine& line = to[name];
    line.name = name;
    line.points.emplace_back(step, value);
  };
  for (std::size_t i = 0; i < infos.size(); ++i) {
    for (const auto& [name, value] : infos[i].metrics) {
      add(metrics, name, infos[i].step, value);
    }
    check_interrupt();
    for (const CheckpointChange& change :
         i == 0 ? std::vector<CheckpointChange>() : kept.diff(infos[i - 1].step, infos[i].step)) {
      if (change.kind == CheckpointChange::Kind::changed) {
        add(changes, change.path, infos[i].step, change.relative);
      }
    }
  }
  const auto lines = [](std::map<std::string, PlotLine>& all) {
    const auto most = [](const PlotLine& line) {
      double found = 0;
      for (const auto& [step, value] : line.points) {
        found = std::isfinite(value) ? std::max(found, std::abs(value)) : found;
      }
      return found;
    };
    std::vector<PlotLine> found;
    for (auto& [name, line] : all) {
      found.push_back(std::move(line));
    }
    std::sort(found.begin(), found.end(), [&](const PlotLine& a, const PlotLine& b) {
      return most(a) != most(b) ? most(a) > most(b) : a.name < b.name;
    });
    found.resize(std::min(found.size(), most_lines));
    return found;
  };
  const std::string picture =
      plot_svg({{"metrics", lines(metrics)}, {"relative change since the checkpoint before", lines(changes)}});
  const std::unique_ptr<Sink> file = file_sink(options.plot);
  file->write(std::as_bytes(std::span(picture)));
  file->close();
}

}  // namespace

int checkpoints_ls(const CheckpointsGiven& options) {
  const Listed found = listed(options.folder);
  if (!options.plot.empty()) {
    plot(options, open_to_read(options.folder), found.all);
  }
  if (options.json) {
    Json document;
    document["folder"] = options.folder;
    document["checkpoints"] = Json::array();
    for (const CheckpointInfo& info : found.all) {
      document["checkpoints"].push_back(info_json(info));
    }
    print_json(document);
    return found.code;
  }
  Table table({0, 2, 3});
  table.add({"step", "saved", "size", "written", "metrics"});
  for (const CheckpointInfo& info : found.all) {
    table.add({std::to_string(info.step), date_text(info.created), size_text(info.bytes), size_text(info.written),
               metrics_text(info) + (info.sharded ? " (sharded)" : "")});
  }
  print(table.text());
  return found.code;
}

namespace {

/// The arrays that several processes have written.
int show_sharded(const CheckpointsGiven& options, const CheckpointInfo& info) {
  const ShardedCheckpoint shards = ShardedCheckpoint::open(options.folder, info.step);
  if (options.json) {
    Json document = info_json(info);
    document["ranks"] = shards.ranks();
    document["arrays"] = Json::array();
    for (const ShardedArray& array : shards.arrays()) {
      document["arrays"].push_back({{"path", array.name},
                                    {"dtype", array.dtype.name()},
                                    {"shape", std::vector<std::uint64_t>(array.shape.begin(), array.shape.end())},
                                    {"boxes", array.boxes.size()}});
    }
    print_json(document);
    return exit_fine;
  }
  Table table;
  table.add({"step", std::to_string(info.step) + ", parts of " + std::to_string(shards.ranks()) + " ranks"});
  table.add({"saved", date_text(info.created)});
  table.add({"metrics", metrics_text(info)});
  Table arrays({2});
  for (const ShardedArray& array : shards.arrays()) {
    arrays.add({name_text(array.name), printable(array.dtype.name()) + array.shape.text(),
                std::to_string(array.boxes.size()) + " boxes"});
  }
  for (const std::string& name : shards.values()) {
    arrays.add({name_text(name), "a value", ""});
  }
  print(table.text() + "\n" + arrays.text());
  return exit_fine;
}

}  // namespace

int checkpoints_show(const CheckpointsGiven& options) {
  const Checkpoints kept = open_to_read(options.folder);
  const std::optional<std::uint64_t> step = options.step ? options.step : kept.latest();
  if (!step) {
    fail(Errc::not_found, "there is no checkpoint", {.file = options.folder});
  }
  const CheckpointInfo info = kept.info(*step);
  if (info.sharded) {
    return show_sharded(options, info);
  }
  std::map<std::string, std::uint64_t> referred;
  if (info.referred > 0) {
    const LinkTable table = open_linked(info.file, MapMode::none, {}, LinkedFiles::none).table;
    for (const LinkTable::Extent& extent : table.extents) {
      if (extent.file != 0) {
        referred[table.files[extent.file - 1].name] += extent.length;
      }
    }
  }
  if (options.json) {
    Json document = info_json(info);
    document["refers_to"] = Json::array();
    for (const auto& [name, bytes] : referred) {
      document["refers_to"].push_back({{"file", name}, {"bytes", bytes}});
    }
    document["arrays"] = Json::array();
    for (const Entry& entry : kept.open_step(*step).list({.max_items = UINT64_MAX})) {
      if (entry.kind == Kind::array) {
        document["arrays"].push_back({{"path", entry.path},
                                      {"dtype", entry.dtype.name()},
                                      {"shape", std::vector<std::uint64_t>(entry.shape.begin(), entry.shape.end())},
                                      {"bytes", entry.bytes}});
      }
    }
    print_json(document);
    return exit_fine;
  }
  Table table;
  table.add({"step", std::to_string(info.step)});
  table.add({"saved", date_text(info.created)});
  table.add({"file", printable(info.file)});
  table.add({"size", size_text(info.bytes)});
  table.add({"written", size_text(info.written)});
  for (const auto& [name, bytes] : referred) {
    table.add({"refers to", printable(name) + ", " + size_text(bytes)});
  }
  for (const auto& [name, value] : info.metrics) {
    table.add({"metric", printable(name) + " " + short_number(value, 6)});
  }
  for (const auto& [name, value] : info.metadata) {
    table.add({"metadata", printable(name) + " " + printable(value.to_string())});
  }
  print(table.text() + "\n");
  LsOptions listing;
  listing.file = info.file;
  return ls(listing);
}

int checkpoints_stat(const CheckpointsGiven& options) {
  const CheckpointStats stats = open_to_read(options.folder).stats();
  const std::uint64_t saved = stats.bytes > stats.stored ? stats.bytes - stats.stored : 0;
  if (options.json) {
    print_json({{"folder", options.folder},
                {"checkpoints", stats.checkpoints},
                {"bytes", stats.bytes},
                {"stored", stats.stored},
                {"saved", saved},
                {"parts", stats.parts}});
    return exit_fine;
  }
  Table table;
  table.add({"folder", printable(options.folder)});
  table.add({"checkpoints", std::to_string(stats.checkpoints)});
  table.add({"size", size_text(stats.bytes) + " if each were one archive"});
  table.add({"stored", size_text(stats.stored)});
  table.add({"saved", size_text(saved)});
  table.add({"parts", std::to_string(stats.parts) + " files of removed checkpoints that others refer to"});
  print(table.text());
  return exit_fine;
}

int checkpoints_verify(const CheckpointsGiven& options) {
  CheckpointReport report;
  {
    const InterruptGuard guard;
    Progress bar(options.folder, std::nullopt, !options.json);
    report = open_to_read(options.folder).verify(options.step, [&](std::uint64_t done, std::uint64_t total) {
      bar.describe(std::to_string(done) + " of " + std::to_string(total) + " checkpoints");
      bar.update(done);
      check_interrupt();
    });
  }
  if (options.json) {
    Json damaged = Json::array();
    for (const auto& [step, message] : report.damaged) {
      damaged.push_back({{"step", step}, {"message", message}});
    }
    print_json({{"folder", options.folder},
                {"ok", report.damaged.empty()},
                {"checked", report.checked},
                {"damaged", std::move(damaged)}});
  } else {
    print(printable(options.folder) + ": " + (report.damaged.empty() ? "ok" : "damaged") + " (" +
          std::to_string(report.checked) + " checkpoints)\n");
    for (const auto& [step, message] : report.damaged) {
      print_error("step " + std::to_string(step) + ": " + message);
    }
  }
  return report.damaged.empty() ? exit_fine : exit_bad_input;
}

int checkpoints_prune(const CheckpointsGiven& options) {
  std::vector<std::uint64_t> gone;
  if (options.dry_run) {
    const std::vector<CheckpointInfo> all = open_to_read(options.folder).list();
    const std::vector<bool> keep = checkpoints_to_keep(all, options.keep, static_cast<double>(std::time(nullptr)));
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (!keep[i]) {
        gone.push_back(all[i].step);
      }
    }
  } else {
    gone = open_to_write(options.folder, options.keep).prune();
  }
  const std::size_t left = open_to_read(options.folder).steps().size() - (options.dry_run ? gone.size() : 0);
  if (options.json) {
    print_json({{"folder", options.folder}, {"dry_run", options.dry_run}, {"removed", gone}, {"checkpoints", left}});
    return exit_fine;
  }
  for (const std::uint64_t step : gone) {
    print((options.dry_run ? "would remove step " : "removed step ") + std::to_string(step) + "\n");
  }
  print(printable(options.folder) + ": " + std::to_string(left) +
        (options.dry_run ? " checkpoints would be left\n" : " checkpoints left\n"));
  return exit_fine;
}

int checkpoints_rm(const CheckpointsGiven& options) {
  Checkpoints kept = open_to_write(options.folder);
  for (const std::uint64_t step : options.steps) {
    kept.remove(step);
  }
  const std::size_t left = kept.steps().size();
  if (options.json) {
    print_json({{"folder", options.folder}, {"removed", options.steps}, {"checkpoints", left}});
  } else {
    print(printable(options.folder) + ": " + std::to_string(left) + " checkpoints left\n");
  }
  return exit_fine;
}

int checkpoints_export(const CheckpointsGiven& options) {
  const Checkpoints kept = open_to_read(options.folder);
  const CheckpointInfo info = kept.info(options.step.value());
  if (info.sharded) {
    SaveOptions saving;
    saving.codec = options.codec;
    saving.level = options.level;
    kept.export_to(info.step, options.output, saving);
    if (options.json) {
      print_json({{"output", {{"file", options.output}}}});
    }
    return exit_fine;
  }
  ConvertOptions converting;
  converting.input = info.file;
  converting.output = options.output;
  converting.codec = options.codec;
  converting.level = options.level;
  converting.json = options.json;
  return convert(converting);
}

int checkpoints_diff(const CheckpointsGiven& options) {
  const std::uint64_t before = options.steps.at(0);
  const std::uint64_t after = options.steps.at(1);
  const Checkpoints kept = open_to_read(options.folder);
  const std::vector<CheckpointChange> changes = kept.diff(before, after);
  if (!options.plot.empty()) {
    std::vector<CheckpointInfo> between = kept.list();
    std::erase_if(between, [&](const CheckpointInfo& info) {
      return info.step < std::min(before, after) || info.step > std::max(before, after);
    });
    plot(options, kept, between);
  }
  constexpr const char* kinds[] = {"changed", "added", "removed", "reshaped"};
  const auto kind = [&](const CheckpointChange& change) { return kinds[static_cast<std::size_t>(change.kind)]; };
  if (options.json) {
    Json document;
    document["folder"] = options.folder;
    document["before"] = before;
    document["after"] = after;
    document["arrays"] = Json::array();
    for (const CheckpointChange& change : changes) {
      Json& entry = document["arrays"].emplace_back();
      entry["path"] = change.path;
      entry["change"] = kind(change);
      entry["bytes"] = change.bytes;
      if (change.kind == CheckpointChange::Kind::changed) {
        entry["relative"] = real(change.relative);
        entry["largest"] = real(change.largest);
      }
    }
    print_json(document);
    return exit_fine;
  }
  Table table({2, 3, 4});
  table.add({"array", "", "size", "relative", "largest"});
  for (const CheckpointChange& change : changes) {
    const bool has_numbers = change.kind == CheckpointChange::Kind::changed;
    table.add({name_text(change.path), kind(change), size_text(change.bytes),
               has_numbers ? short_number(change.relative, 6) : "",
               has_numbers ? short_number(change.largest, 6) : ""});
  }
  print(table.text());
  return exit_fine;
}

}  // namespace stele::cli

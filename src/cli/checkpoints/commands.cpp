// The options of `stele checkpoints` and its commands.

#include "cli/checkpoints/checkpoints.hpp"
#include "cli/command_line.hpp"
#include "cli/print/numbers.hpp"

namespace stele::cli {
namespace {

/// METRIC[:min|max[:N]]; the metric's own name may have colons.
KeepBest keep_best(const std::string& text) {
  KeepBest best{.metric = text};
  const auto take_last = [&](const auto& matches) {
    const std::size_t colon = best.metric.rfind(':');
    if (colon == std::string::npos || colon == 0 || !matches(best.metric.substr(colon + 1))) {
      return false;
    }
    best.metric.resize(colon);
    return true;
  };
  const auto is_direction = [&](const std::string& word) {
    best.largest = word == "max";
    return word == "min" || word == "max";
  };
  const auto is_count = [&](const std::string& word) {
    return !word.empty() && word.find_first_not_of("0123456789") == std::string::npos;
  };
  const std::size_t colon = text.rfind(':');
  if (colon != std::string::npos && is_count(text.substr(colon + 1))) {
    best.metric.resize(colon);
    if (take_last(is_direction)) {
      best.count = static_cast<std::size_t>(parse_natural("--keep-best", text.substr(colon + 1), 1, UINT32_MAX));
      return best;
    }
    best.metric = text;
  }
  take_last(is_direction);
  return best;
}

void add_steps(CLI::App& command, CheckpointsGiven& to, const char* name, int least, int most) {
  command
      .add_option_function<std::vector<std::string>>(
          name,
          [&to, name](const std::vector<std::string>& all) {
            for (const std::string& text : all) {
              to.steps.push_back(parse_natural(name, text, 0, UINT64_MAX));
            }
          },
          most == 2 ? "The earlier and the later one" : "The step")
      ->required()
      ->expected(least, most)
      ->type_name("");
}

void add_plot(CLI::App& command, CheckpointsGiven& to) {
  command
      .add_option("--plot", to.plot,
                  "Also draw the metrics, and how much arrays change from step to step, as a picture (SVG)")
      ->type_name("FILE");
}

}  // namespace

void CommandLine::add_checkpoints_commands() {
  CLI::App& checkpoints = add_group("checkpoints", "A folder of checkpoints: look at it, check it, remove some");
  const auto add_one = [&](const char* name, const char* about, int (*function)(const CheckpointsGiven&)) {
    const auto added = add(checkpoints, name, about, function, &CheckpointsGiven::folder);
    add_required(added.app, "DIR", added.options.folder, "The folder");
    return added;
  };
  {
    const auto [command, to] = add_one("ls", "The checkpoints, with their metrics", checkpoints_ls);
    add_plot(command, to);
  }
  {
    const auto [command, to] =
        add_one("show", "A checkpoint: its metrics, its arrays, and the files that it refers to", checkpoints_show);
    add_number(command, "STEP", to.step, "Its step [the newest]")->type_name("");
  }
  add_one("stat", "Numbers of checkpoints and bytes, and what is stored once for several", checkpoints_stat);
  {
    const auto [command, to] =
        add_one("verify", "Check every byte of them; the exit code is 1 if one is damaged", checkpoints_verify);
    add_number(command, "--step", to.step, "Only this one [all]")->type_name("N");
  }
  {
    const auto [command, to] =
        add_one("prune", "Remove those that none of these options keeps, and leftovers; the newest one stays",
                checkpoints_prune);
    CheckpointOptions& keep = to.keep;
    add_number(command, "--keep-last", keep.keep_last, "The last ones")->type_name("N");
    add_number(command, "--keep-every", keep.keep_every, "Those whose step is a multiple of it")->type_name("N");
    add_real(command, "--keep-interval", keep.keep_interval_s, "One for every so many seconds", 0, 1e12)
        ->type_name("SECONDS");
    add_real(command, "--keep-age", keep.keep_age_s, "Those of at most this age", 0, 1e12)->type_name("SECONDS");
    command
        .add_option_function<std::vector<std::string>>(
            "--keep-best",
            [&keep](const std::vector<std::string>& all) {
              for (const std::string& text : all) {
                keep.keep_best.push_back(keep_best(text));
              }
            },
            "The best ones by a metric, as in loss or accuracy:max:3 [min, 1]; may be given several times")
        ->type_name("METRIC");
    command.add_flag("--dry-run", to.dry_run, "Only tell which would be removed");
  }
  {
    const auto [command, to] = add_one("rm", "Remove checkpoints; what others refer to stays", checkpoints_rm);
    add_steps(command, to, "STEP", 1, 1 << 20);
  }
  {
    const auto [command, to] =
        add_one("export", "A checkpoint as one archive that refers to nothing, checked on the way", checkpoints_export);
    add_number(command, "STEP", to.step, "Its step")->required()->type_name("");
    add_required(command, "OUT", to.output, "The output; it appears when it is complete");
    add_codec(command, to.codec);
    add_level(command, to.level);
  }
  {
    const auto [command, to] =
        add_one("diff", "The arrays that differ between two steps, and by how much", checkpoints_diff);
    add_steps(command, to, "STEPS", 2, 2);
    add_plot(command, to);
  }
}

}  // namespace stele::cli

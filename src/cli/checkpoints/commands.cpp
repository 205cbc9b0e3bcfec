#include "cli/checkpoints/commands.hpp"

#include <utility>

#include "cli/checkpoints/checkpoints.hpp"
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

}  // namespace

class CheckpointsCommands::Options {
 public:
  Options(CLI::App& app, bool& json, const std::vector<std::string>& codecs, Chosen chosen)
      : json_(json),
        chosen_(std::move(chosen)),
        checkpoints_(*app.add_subcommand("checkpoints", "A folder of checkpoints: look at it, check it, remove some")) {
    checkpoints_.require_subcommand(1);
    add_json(checkpoints_);
    add_plot(add_command("ls", "The checkpoints, with their metrics", checkpoints_ls));
    CLI::App& show =
        add_command("show", "A checkpoint: its metrics, its arrays, and the files that it refers to", checkpoints_show);
    add_number(show, "STEP", options_.step, "Its step [the newest]")->type_name("");
    add_command("stat", "Numbers of checkpoints and bytes, and what is stored once for several", checkpoints_stat);
    CLI::App& verify =
        add_command("verify", "Check every byte of them; the exit code is 1 if one is damaged", checkpoints_verify);
    add_number(verify, "--step", options_.step, "Only this one [all]")->type_name("N");
    CLI::App& prune =
        add_command("prune", "Remove those that none of these options keeps, and leftovers; the newest one stays",
                    checkpoints_prune);
    CheckpointOptions& keep = options_.keep;
    add_number(prune, "--keep-last", keep.keep_last, "The last ones")->type_name("N");
    add_number(prune, "--keep-every", keep.keep_every, "Those whose step is a multiple of it")->type_name("N");
    add_real(prune, "--keep-interval", keep.keep_interval_s, "One for every so many seconds", 0, 1e12)
        ->type_name("SECONDS");
    add_real(prune, "--keep-age", keep.keep_age_s, "Those of at most this age", 0, 1e12)->type_name("SECONDS");
    prune
        .add_option_function<std::vector<std::string>>(
            "--keep-best",
            [&keep](const std::vector<std::string>& all) {
              for (const std::string& text : all) {
                keep.keep_best.push_back(keep_best(text));
              }
            },
            "The best ones by a metric, as in loss or accuracy:max:3 [min, 1]; may be given several times")
        ->type_name("METRIC");
    prune.add_flag("--dry-run", options_.dry_run, "Only tell which would be removed");
    add_steps(add_command("rm", "Remove checkpoints; what others refer to stays", checkpoints_rm), "STEP", 1, 1 << 20);
    CLI::App& to = add_command("export", "A checkpoint as one archive that refers to nothing, checked on the way",
                               checkpoints_export);
    add_number(to, "STEP", options_.step, "Its step")->required()->type_name("");
    to.add_option("OUT", options_.output, "The output; it appears when it is complete")->required()->type_name("");
    std::vector<std::string> names = codecs;
    names.insert(names.begin(), "plain");
    to.add_option("--codec", options_.codec, "The codec of OUT [by its extension, else plain]")
        ->check(CLI::IsMember(names))
        ->type_name("NAME");
    add_number(to, "--level", options_.level, "The codec's level; `stele codecs` lists them")->type_name("N");
    CLI::App& diff = add_command("diff", "The arrays that differ between two steps, and by how much", checkpoints_diff);
    add_steps(diff, "STEPS", 2, 2);
    add_plot(diff);
  }

 private:
  CLI::App& add_command(const char* name, const char* about, int (*function)(const CheckpointsGiven&)) {
    CLI::App& command = *checkpoints_.add_subcommand(name, about);
    command.add_option("DIR", options_.folder, "The folder")->required()->type_name("");
    add_json(command);
    command.callback([this, function] {
      chosen_(options_.folder, [this, function] {
        options_.json = json_;
        return function(options_);
      });
    });
    return command;
  }
  void add_json(CLI::App& command) { command.add_flag("--json", json_, "Print one JSON document, errors included"); }
  void add_steps(CLI::App& command, const char* name, int least, int most) {
    command
        .add_option_function<std::vector<std::string>>(
            name,
            [this, name](const std::vector<std::string>& all) {
              for (const std::string& text : all) {
                options_.steps.push_back(parse_natural(name, text, 0, UINT64_MAX));
              }
            },
            most == 2 ? "The earlier and the later one" : "The step")
        ->required()
        ->expected(least, most)
        ->type_name("");
  }
  void add_plot(CLI::App& command) {
    command
        .add_option("--plot", options_.plot,
                    "Also draw the metrics, and how much arrays change from step to step, as a picture (SVG)")
        ->type_name("FILE");
  }

  bool& json_;
  const Chosen chosen_;
  CLI::App& checkpoints_;
  CheckpointsGiven options_;
};

CheckpointsCommands::CheckpointsCommands(CLI::App& app, bool& json, const std::vector<std::string>& codecs,
                                         Chosen chosen)
    : options_(std::make_unique<Options>(app, json, codecs, std::move(chosen))) {}
CheckpointsCommands::~CheckpointsCommands() = default;

}  // namespace stele::cli

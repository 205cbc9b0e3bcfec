#include "cli/store/commands.hpp"

#include <utility>

#include "cli/print/numbers.hpp"
#include "cli/store/store.hpp"

namespace stele::cli {

class StoreCommands::Options {
 public:
  Options(CLI::App& app, bool& json, std::vector<std::string> codecs, Chosen chosen)
      : json_(json),
        codecs_(std::move(codecs)),
        chosen_(std::move(chosen)),
        store_(*app.add_subcommand("store", "A key-value store: look at it, change it, check it, exchange it")) {
    codecs_.insert(codecs_.begin(), "plain");
    store_.require_subcommand(1);
    store_.footer(
        "STORE is a folder, or a file that `stele store compact` wrote, to be read, also at a URL. Keys are texts, or "
        "integers with --int, or bytes in hexadecimal with --hex; before a negative one stands --, as in "
        "get STORE --int -- -5.");
    add_json(store_);
    add_ls();
    add_get();
    add_put();
    add_erase();
    add_care();
    add_import();
    add_export();
  }

 private:
  template <class O>
  CLI::App& add_command(const char* name, const char* about, O& options, int (*function)(const O&), bool flag = true) {
    return add_command(name, about, options, function, options.store, flag);
  }
  /// `file`: the name in messages about damage.
  template <class O>
  CLI::App& add_command(const char* name, const char* about, O& options, int (*function)(const O&),
                        const std::string& file, bool flag) {
    CLI::App& command = *store_.add_subcommand(name, about);
    command.add_option("STORE", options.store, "The store")->required()->type_name("");
    if (flag) {
      add_json(command);
    }
    command.callback([this, &options, &file, function] {
      chosen_(file, [this, &options, function] {
        options.json = json_;
        return function(options);
      });
    });
    return command;
  }
  void add_json(CLI::App& command) { command.add_flag("--json", json_, "Print one JSON document, errors included"); }

  static void add_form(CLI::App& command, StoreKeyForm& form) {
    CLI::Option* integer = command.add_flag("--int", form.integer, "Keys are integers");
    command.add_flag("--hex", form.hex, "Keys are bytes, in hexadecimal")->excludes(integer);
  }
  static void add_key(CLI::App& command, std::string& key, StoreKeyForm& form) {
    command.add_option("KEY", key, "The key")->required()->type_name("");
    add_form(command, form);
  }
  static void add_range(CLI::App& command, StoreRangeOptions& range, StoreKeyForm& form) {
    command.add_option("--prefix", range.prefix, "Only keys with this prefix")->type_name("KEY");
    command.add_option("--from", range.from, "The first key, itself included")->type_name("KEY");
    command.add_option("--to", range.to, "The end of the range, not included")->type_name("KEY");
    command.add_flag("--reverse", range.reverse, "From the last to the first");
    add_form(command, form);
  }
  void add_codec(CLI::App& command, std::string& codec, const char* about) const {
    command.add_option("--codec", codec, about)->check(CLI::IsMember(codecs_))->type_name("NAME");
  }
  static void add_level(CLI::App& command, std::optional<int>& level) {
    add_number(command, "--level", level, "The codec's level; `stele codecs` lists them")->type_name("N");
  }
  static void add_writing(CLI::App& command, StoreOptions& open) {
    add_number(command, "--wait-ms", open.wait_ms, "Milliseconds to wait for another writer to end [0]")
        ->type_name("N");
    const auto choose = [&open](const std::string& text) {
      open.durability = text == "none"     ? StoreDurability::none
                        : text == "commit" ? StoreDurability::commit
                                           : StoreDurability::put;
    };
    command.add_option_function<std::string>("--durability", choose, "What must survive a crash of the machine [none]")
        ->check(CLI::IsMember({"none", "commit", "put"}))
        ->type_name("HOW");
  }
  void add_making(CLI::App& command, StoreOptions& open) const {
    add_writing(command, open);
    add_codec(command, open.codec, "How values are compressed, if the store is made [plain]");
    add_level(command, open.level);
    add_number(command, "--shard-bytes", open.shard_bytes, "Bytes of a shard, if the store is made [1 GiB]",
               {.most = INT64_MAX})
        ->type_name("BYTES");
  }

  void add_ls() {
    CLI::App& command = add_command("ls", "The keys, in order", ls_, store_ls);
    add_range(command, ls_.range, ls_.form);
    command.add_option("--order", ls_.order, "key, insertion, size or the name of a secondary order [key]")
        ->type_name("NAME");
    add_number(command, "--limit", ls_.limit, "At most this many [all]")->type_name("N");
    command.add_flag("--long", ls_.detailed, "Sizes, kinds and what values are, too");
  }
  void add_get() {
    CLI::App& command =
        add_command("get", "A value: text and bytes as they are, objects as `show` does", get_, store_get);
    add_key(command, get_.key, get_.form);
    command.add_option("-o,--output", get_.output, "The output, - for standard output; objects as archives")
        ->type_name("OUT");
    add_codec(command, get_.codec, "The codec of an archive [by the extension of OUT, else plain]");
    add_level(command, get_.level);
    add_number(command, "--items", get_.items, "Elements at each end of an array's axes [3]; items of a container [8]")
        ->type_name("N");
    add_number(command, "--depth", get_.depth, "Levels shown [64]")->type_name("N");
    command.add_flag("--full", get_.full, "Leave nothing out")->excludes("--items");
  }
  void add_put() {
    CLI::App& command =
        add_command("put", "Store a value, in a store that is made if there is none", put_, store_put, false);
    add_key(command, put_.key, put_.form);
    CLI::Option* file =
        command.add_option("FILE", put_.file, "The file whose bytes are the value, - for standard input")
            ->type_name("");
    command.add_flag("--archive", put_.archive, "FILE is a stele archive, and the value its object")->needs(file);
    CLI::Option* text =
        command.add_option("--text", put_.text, "The value, as text")->type_name("TEXT")->excludes(file);
    command.add_option("--json", put_.value, "The value, as JSON; an array of numbers in the form that export writes")
        ->type_name("JSON")
        ->excludes(file)
        ->excludes(text);
    add_making(command, put_.open);
  }
  void add_erase() {
    CLI::App& command = add_command("erase", "Remove keys, all or, if one is missing, none", erase_, store_erase);
    command.add_option("KEY", erase_.keys, "The keys")->required()->type_name("");
    add_form(command, erase_.form);
    add_writing(command, erase_.open);
  }
  void add_care() {
    add_command("stat", "Numbers of values, bytes and shards", care_, store_stat);
    add_command("verify", "Check everything; the exit code is 1 if something is damaged", care_, store_verify);
    CLI::App& vacuum = add_command("vacuum", "Free the space of overwritten and erased values", care_, store_vacuum);
    add_real(vacuum, "--dead-share", care_.dead_share, "Of shards with at least this share of dead bytes [0.2]", 0, 1)
        ->type_name("SHARE");
    add_writing(vacuum, care_.open);
    add_command("recover", "Rebuild the index from the shards; the exit code is 1 if something is lost", care_,
                store_recover);
    CLI::App& compact = add_command("compact", "Write everything to one file, to be read only", care_, store_compact);
    compact.add_option("OUT", care_.output, "The file, which appears when it is complete")->required()->type_name("");
  }
  void add_import() {
    CLI::App& command = add_command("import", "Take over files, JSON lines, .npz files or another store", import_,
                                    store_import, import_.source, true);
    StoreImportOptions& import = import_.import;
    command.add_option("SOURCE", import_.source, "A folder, a file, or - for JSON lines from standard input")
        ->required()
        ->type_name("");
    command.add_option("--format", import_.format, "The format of SOURCE [by its contents and name]")
        ->check(CLI::IsMember({"files", "jsonl", "npz", "store"}))
        ->type_name("NAME");
    command.add_option("--key-prefix", import.key_prefix, "Put before keys that are text")->type_name("TEXT");
    command.add_option("--key-field", import.key_field, "JSON lines: any objects, with their keys in this field")
        ->type_name("NAME");
    command.add_flag("--exported", import.exported, "Files, .npz: written by export, keys are decoded from names");
    command.add_flag("--hidden,!--no-hidden", import.hidden, "Files: also those whose name begins with a dot [yes]");
    command.add_flag("--overwrite,!--no-overwrite", import.overwrite,
                     "Replace the values of keys that are there [yes]");
    add_number(command, "--batch-items", import.batch_items, "Items committed together [10000]", {.least = 1})
        ->type_name("N");
    add_number(command, "--batch-bytes", import.batch_bytes, "Bytes committed together [64 MiB]", {.least = 1})
        ->type_name("BYTES");
    add_number(command, "--line-bytes", import.line_bytes, "JSON lines: the longest line [100000000]", {.least = 1})
        ->type_name("BYTES");
    add_making(command, import_.open);
  }
  void add_export() {
    CLI::App& command =
        add_command("export", "Write files, JSON lines, a .npz file or another store", export_, store_export);
    command.add_option("OUT", export_.output, "A folder, a file, or - for JSON lines to standard output")
        ->required()
        ->type_name("");
    command.add_option("--format", export_.format, "The format of OUT [by its name, else files]")
        ->check(CLI::IsMember({"files", "jsonl", "npz", "store"}))
        ->type_name("NAME");
    add_range(command, export_.range, export_.form);
    command.add_flag("--overwrite", export_.export_.overwrite, "Files, store: replace what is there");
    add_codec(command, export_.export_.codec,
              "The codec of archives among files, or of a store; for a .npz file plain or zlib [plain]");
    add_level(command, export_.export_.level);
  }

  bool& json_;
  std::vector<std::string> codecs_;
  const Chosen chosen_;
  CLI::App& store_;
  StoreLsOptions ls_;
  StoreGetOptions get_;
  StorePutOptions put_;
  StoreEraseOptions erase_;
  StoreCareOptions care_;
  ImportArguments import_;
  ExportArguments export_;
};

StoreCommands::StoreCommands(CLI::App& app, bool& json, const std::vector<std::string>& codecs, Chosen chosen)
    : options_(std::make_unique<Options>(app, json, codecs, std::move(chosen))) {}
StoreCommands::~StoreCommands() = default;

}  // namespace stele::cli

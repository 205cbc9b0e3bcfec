// The options of `stele store` and its commands.

#include "cli/command_line.hpp"
#include "cli/print/numbers.hpp"
#include "cli/store/store.hpp"

namespace stele::cli {
namespace {

void add_form(CLI::App& command, StoreKeyForm& form) {
  CLI::Option* integer = command.add_flag("--int", form.integer, "Keys are integers");
  command.add_flag("--hex", form.hex, "Keys are bytes, in hexadecimal")->excludes(integer);
}

void add_key(CLI::App& command, std::string& key, StoreKeyForm& form) {
  add_required(command, "KEY", key, "The key");
  add_form(command, form);
}

void add_range(CLI::App& command, StoreRangeOptions& range, StoreKeyForm& form) {
  command.add_option("--prefix", range.prefix, "Only keys with this prefix")->type_name("KEY");
  command.add_option("--from", range.from, "The first key, itself included")->type_name("KEY");
  command.add_option("--to", range.to, "The end of the range, not included")->type_name("KEY");
  command.add_flag("--reverse", range.reverse, "From the last to the first");
  add_form(command, form);
}

void add_writing(CLI::App& command, StoreOptions& open) {
  add_number(command, "--wait-ms", open.wait_ms, "Milliseconds to wait for another writer to end [0]")->type_name("N");
  const auto choose = [&open](const std::string& text) {
    open.durability = text == "none"     ? StoreDurability::none
                      : text == "commit" ? StoreDurability::commit
                                         : StoreDurability::put;
  };
  command.add_option_function<std::string>("--durability", choose, "What must survive a crash of the machine [none]")
      ->check(CLI::IsMember({"none", "commit", "put"}))
      ->type_name("HOW");
}

void add_making(const CommandLine& line, CLI::App& command, StoreOptions& open) {
  add_writing(command, open);
  line.add_codec(command, open.codec, "How values are compressed, if the store is made [plain]");
  add_level(command, open.level);
  add_number(command, "--shard-bytes", open.shard_bytes, "Bytes of a shard, if the store is made [1 GiB]",
             {.most = INT64_MAX})
      ->type_name("BYTES");
}

}  // namespace

void CommandLine::add_store_commands() {
  CLI::App& store = add_group("store", "A key-value store: look at it, change it, check it, exchange it");
  store.footer(
      "STORE is a folder, or a file that `stele store compact` wrote, to be read, also at a URL. Keys are texts, or "
      "integers with --int, or bytes in hexadecimal with --hex; before a negative one stands --, as in "
      "get STORE --int -- -5.");
  const auto add_one = [&]<class O>(const char* name, const char* about, int (*function)(const O&),
                                    std::string O::* named, bool flag = true) {
    const auto added = add(store, name, about, function, named, flag);
    add_required(added.app, "STORE", added.options.store, "The store");
    return added;
  };
  {
    const auto [command, to] = add_one("ls", "The keys, in order", store_ls, &StoreLsOptions::store);
    add_range(command, to.range, to.form);
    command.add_option("--order", to.order, "key, insertion, size or the name of a secondary order [key]")
        ->type_name("NAME");
    add_number(command, "--limit", to.limit, "At most this many [all]")->type_name("N");
    command.add_flag("--long", to.detailed, "Sizes, kinds and what values are, too");
  }
  {
    const auto [command, to] = add_one("get", "A value: text and bytes as they are, objects as `show` does", store_get,
                                       &StoreGetOptions::store);
    add_key(command, to.key, to.form);
    command.add_option("-o,--output", to.output, "The output, - for standard output; objects as archives")
        ->type_name("OUT");
    add_codec(command, to.codec, "The codec of an archive [by the extension of OUT, else plain]");
    add_level(command, to.level);
    add_number(command, "--items", to.items, "Elements at each end of an array's axes [3]; items of a container [8]")
        ->type_name("N");
    add_number(command, "--depth", to.depth, "Levels shown [64]")->type_name("N");
    command.add_flag("--full", to.full, "Leave nothing out")->excludes("--items");
  }
  {
    const auto [command, to] = add_one("put", "Store a value, in a store that is made if there is none", store_put,
                                       &StorePutOptions::store, false);
    add_key(command, to.key, to.form);
    CLI::Option* from =
        command.add_option("FILE", to.file, "The file whose bytes are the value, - for standard input")->type_name("");
    command.add_flag("--archive", to.archive, "FILE is a stele archive, and the value its object")->needs(from);
    CLI::Option* text = command.add_option("--text", to.text, "The value, as text")->type_name("TEXT")->excludes(from);
    command.add_option("--json", to.value, "The value, as JSON; an array of numbers in the form that export writes")
        ->type_name("JSON")
        ->excludes(from)
        ->excludes(text);
    add_making(*this, command, to.open);
  }
  {
    const auto [command, to] =
        add_one("erase", "Remove keys, all or, if one is missing, none", store_erase, &StoreEraseOptions::store);
    command.add_option("KEY", to.keys, "The keys")->required()->type_name("");
    add_form(command, to.form);
    add_writing(command, to.open);
  }
  const auto add_care = [&](const char* name, const char* about, int (*function)(const StoreCareOptions&)) {
    return add_one(name, about, function, &StoreCareOptions::store);
  };
  add_care("stat", "Numbers of values, bytes and shards", store_stat);
  add_care("verify", "Check everything; the exit code is 1 if something is damaged", store_verify);
  {
    const auto [command, to] = add_care("vacuum", "Free the space of overwritten and erased values", store_vacuum);
    add_real(command, "--dead-share", to.dead_share, "Of shards with at least this share of dead bytes [0.2]", 0, 1)
        ->type_name("SHARE");
    add_writing(command, to.open);
  }
  add_care("recover", "Rebuild the index from the shards; the exit code is 1 if something is lost", store_recover);
  {
    const auto [command, to] = add_care("compact", "Write everything to one file, to be read only", store_compact);
    add_required(command, "OUT", to.output, "The file, which appears when it is complete");
  }
  {
    const auto [command, to] = add_one("import", "Take over files, JSON lines, .npz files or another store",
                                       store_import, &ImportArguments::source);
    StoreImportOptions& import = to.import;
    add_required(command, "SOURCE", to.source, "A folder, a file, or - for JSON lines from standard input");
    command.add_option("--format", to.format, "The format of SOURCE [by its contents and name]")
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
    add_making(*this, command, to.open);
  }
  {
    const auto [command, to] = add_one("export", "Write files, JSON lines, a .npz file or another store", store_export,
                                       &ExportArguments::store);
    add_required(command, "OUT", to.output, "A folder, a file, or - for JSON lines to standard output");
    command.add_option("--format", to.format, "The format of OUT [by its name, else files]")
        ->check(CLI::IsMember({"files", "jsonl", "npz", "store"}))
        ->type_name("NAME");
    add_range(command, to.range, to.form);
    command.add_flag("--overwrite", to.export_.overwrite, "Files, store: replace what is there");
    add_codec(command, to.export_.codec,
              "The codec of archives among files, or of a store; for a .npz file plain or zlib [plain]");
    add_level(command, to.export_.level);
  }
}

}  // namespace stele::cli

// stele info, stele codecs

#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/print/format.hpp"
#include "cli/print/report.hpp"
#include "cli/streams/input.hpp"
#include "stele/codec.hpp"

namespace stele::cli {
namespace {

/// For the whole file.
double ratio(const Info& info) {
  const std::uint64_t plain = info.plain_bytes + info.bytes_after;
  return info.stored_bytes == 0 ? 0 : static_cast<double>(plain) / static_cast<double>(info.stored_bytes);
}

void print_info(const std::string& file, const Info& info) {
  Table table;
  table.add({"file", file == "-" ? "standard input" : printable(file)});
  table.add({"codec", info.codec});
  table.add({"stored", exact_size(info.stored_bytes)});
  table.add({"plain", exact_size(info.plain_bytes)});
  if (info.codec != "plain") {
    table.add({"ratio", fixed(ratio(info), 2)});
  }
  if (info.bytes_after > 0) {
    table.add({"behind", exact_size(info.bytes_after) + " of plain bytes follow this archive, which begins the file"});
  }
  table.add({"format", std::to_string(info.format)});
  table.add({"writer", printable(info.writer)});
  table.add({"arrays", std::to_string(info.arrays) + " of 4 KiB or more, " + exact_size(info.array_bytes)});
  if (info.encoded_arrays > 0) {
    table.add({"encoded", std::to_string(info.encoded_arrays) + " of them, by a filter"});
  }
  if (info.pieced_arrays > 0) {
    table.add({"in pieces", std::to_string(info.pieced_arrays) + " arrays that grew while they were written"});
  }
  std::string text = table.text();
  if (!info.metadata.empty()) {
    Table metadata;
    for (const auto& [key, value] : info.metadata) {
      metadata.add({"  " + printable(key), printable(value.to_string())});
    }
    text += "metadata\n" + metadata.text();
  }
  print(text);
}

}  // namespace

int info(const InfoOptions& options) {
  const Info info = open_archive(options.file, {.offset = options.offset}).info();
  if (!options.json) {
    print_info(options.file, info);
    return exit_fine;
  }
  nlohmann::ordered_json document;
  document["file"] = options.file;
  document["codec"] = info.codec;
  document["stored_bytes"] = info.stored_bytes;
  document["plain_bytes"] = info.plain_bytes;
  document["ratio"] = ratio(info);
  document["bytes_after"] = info.bytes_after;
  document["format"] = info.format;
  document["writer"] = info.writer;
  document["arrays"] = info.arrays;
  document["array_bytes"] = info.array_bytes;
  document["encoded_arrays"] = info.encoded_arrays;
  document["pieced_arrays"] = info.pieced_arrays;
  auto& metadata = document["metadata"] = nlohmann::ordered_json::object();
  for (const auto& [key, value] : info.metadata) {
    metadata[key] = value.is_text()      ? nlohmann::ordered_json(value.text())
                    : value.is_boolean() ? nlohmann::ordered_json(value.boolean())
                    : value.is_natural() ? nlohmann::ordered_json(value.natural())
                    : value.is_integer() ? nlohmann::ordered_json(value.integer())
                                         : nlohmann::ordered_json(value.real());
  }
  print_json(document);
  return exit_fine;
}

int codecs(const CodecsOptions& options) {
  const Codecs known;
  if (options.json) {
    auto list = nlohmann::ordered_json::array();
    for (const auto& codec : known.all()) {
      const LevelRange levels = codec->levels();
      nlohmann::ordered_json entry;
      entry["name"] = codec->name();
      entry["extensions"] = nlohmann::ordered_json::array();
      for (const std::string_view extension : codec->extensions()) {
        entry["extensions"].push_back(extension);
      }
      entry["levels"] = {{"lowest", levels.lowest}, {"highest", levels.highest}, {"standard", levels.standard}};
      entry["library"] = codec->library();
      list.push_back(std::move(entry));
    }
    print_json({{"codecs", std::move(list)}});
    return exit_fine;
  }
  Table table;
  table.add({"codec", "extensions", "levels", "standard", "library"});
  for (const auto& codec : known.all()) {
    const LevelRange levels = codec->levels();
    std::string extensions;
    for (const std::string_view extension : codec->extensions()) {
      extensions.append(extensions.empty() ? "" : " ").append(extension);
    }
    table.add({std::string(codec->name()), extensions,
               std::to_string(levels.lowest) + " to " + std::to_string(levels.highest), std::to_string(levels.standard),
               codec->library()});
  }
  print(table.text());
  return exit_fine;
}

}  // namespace stele::cli

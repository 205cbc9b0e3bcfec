// stele ls

#include <algorithm>
#include <limits>

#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/print/format.hpp"
#include "cli/print/report.hpp"
#include "cli/streams/input.hpp"

namespace stele::cli {
namespace {

constexpr std::uint64_t unlimited = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t standard_items = 100;
constexpr std::uint64_t long_sequence = 10;  // scalars; of longer sequences only the first few are shown
constexpr std::uint64_t shown_scalars = 7;

bool is_container(const Entry& entry) noexcept {
  return entry.kind == Kind::sequence || entry.kind == Kind::map || entry.kind == Kind::record;
}
bool is_leaf(const Entry& entry) noexcept { return !is_container(entry) && entry.kind != Kind::array; }

/// The name of a value in its container: the last step of its path.
std::string last_step(const Entry& entry, const Entry& parent) {
  const std::size_t skip = parent.path.empty() ? 0 : parent.path.size() + 1;
  const std::string_view step = std::string_view(entry.path).substr(std::min(skip, entry.path.size()));
  std::string name;
  if (step == "~") {
    return name;  // the notation for an empty key in a path
  }
  if (step.starts_with("~#") || step.starts_with("~*")) {
    return std::string(step);  // an index, not a key
  }
  for (std::size_t i = 0; i < step.size(); ++i) {
    const bool escape = step[i] == '~' && i + 1 < step.size();
    name += !escape ? step[i] : step[++i] == '1' ? '/' : '~';
  }
  return name;
}

std::string what(const Entry& entry) {
  std::string text = entry.type.empty() ? "" : printable(entry.type) + " ";
  switch (entry.kind) {
    case Kind::array:
      text += printable(entry.dtype.name()) + entry.shape.text();
      return text + (entry.order == Order::column_major && entry.shape.rank() > 1 ? " column-major" : "");
    case Kind::sequence:
    case Kind::map:
    case Kind::record:
      if (!entry.text.empty()) {
        return text + entry.text;  // a reference
      }
      return text.append(to_string(entry.kind)) + " of " + std::to_string(entry.count.value_or(0));
    case Kind::text:
      return text + quoted_text(entry.text);
    default:
      return text + printable(entry.text);
  }
}

std::vector<std::string> cells(const Entry& entry, std::string name) {
  if (is_leaf(entry)) {
    return {std::move(name), what(entry)};
  }
  std::vector<std::string> texts{std::move(name), what(entry), size_text(entry.bytes), entry.encoding,
                                 "@" + std::to_string(entry.offset)};
  if (entry.kind == Kind::array && entry.bytes >= 4096) {
    texts.emplace_back(entry.mappable ? "mappable" : "copied");
  }
  return texts;
}

/// Prints the entries as a tree.
class Tree {
 public:
  Tree(const std::vector<Entry>& entries, const ListOptions& listed, bool elide)
      : entries_(entries), listed_(listed), elide_(elide) {}

  std::string text(const std::string& root_name) {
    add(root_name, 0);
    while (at_ < entries_.size()) {
      add(name_text(entries_[at_].path), 0);  // deferred values
    }
    return table_.text();
  }

 private:
  std::uint64_t children(const Entry& entry, std::size_t depth) const noexcept {
    return is_container(entry) && depth < listed_.depth ? std::min(entry.count.value_or(0), listed_.max_items) : 0;
  }
  /// How many of the `count` entries from `at_` on are shown.
  std::uint64_t shown(const Entry& parent, std::uint64_t count) const {
    if (!elide_ || parent.kind != Kind::sequence || count <= long_sequence) {
      return count;
    }
    const auto first = entries_.begin() + static_cast<std::ptrdiff_t>(at_);
    const auto end = first + static_cast<std::ptrdiff_t>(std::min<std::uint64_t>(count, entries_.size() - at_));
    return std::all_of(first, end, is_leaf) ? shown_scalars : count;
  }

  void add(const std::string& name, std::size_t depth) {
    const Entry& entry = entries_[at_++];
    const std::string indent(2 * depth, ' ');
    table_.add(cells(entry, indent + name));
    const std::uint64_t count = children(entry, depth);
    const std::uint64_t visible = shown(entry, count);
    for (std::uint64_t i = 0; i < count && at_ < entries_.size(); ++i) {
      if (i < visible) {
        add(name_text(last_step(entries_[at_], entry)), depth + 1);
      } else {
        ++at_;  // a leaf
      }
    }
    if (count > 0 && entry.count.value_or(0) > visible) {
      table_.add({indent + "  … " + std::to_string(*entry.count - visible) + " more"});
    }
  }

  const std::vector<Entry>& entries_;
  const ListOptions& listed_;
  const bool elide_;
  std::size_t at_ = 0;
  Table table_{{2}};
};

nlohmann::ordered_json entry_json(const Entry& entry) {
  nlohmann::ordered_json json;
  json["path"] = entry.path;
  json["kind"] = to_string(entry.kind);
  if (!entry.type.empty()) {
    json["type"] = entry.type;
  }
  if (entry.kind == Kind::array) {
    json["dtype"] = entry.dtype.name();
    json["shape"] = std::vector<std::uint64_t>(entry.shape.begin(), entry.shape.end());
    json["order"] = entry.order == Order::row_major ? "row-major" : "column-major";
    json["encoding"] = entry.encoding;
    json["listed"] = entry.listed;
    json["mappable"] = entry.mappable;
  } else if (is_container(entry)) {
    json["count"] = entry.count.value_or(0);
  }
  if (!entry.text.empty() || is_leaf(entry)) {
    json["text"] = entry.text;
  }
  json["offset"] = entry.offset;
  json["bytes"] = entry.bytes;
  return json;
}

}  // namespace

int ls(const LsOptions& options) {
  const bool whole = options.all || options.arrays || options.json;
  ListOptions list;
  list.path = options.path;
  list.depth = options.depth.value_or(std::numeric_limits<std::size_t>::max());
  list.max_items = options.max_items.value_or(whole ? unlimited : standard_items);
  std::vector<Entry> entries = open_archive(options.file, {.offset = options.offset}).list(list);
  const bool tree = !options.arrays && !options.json;
  if (tree) {
    const std::string root = !options.path.empty() ? printable(options.path)
                             : options.file == "-" ? "standard input"
                                                   : printable(options.file);
    print(Tree(entries, list, !options.all && !options.max_items).text(root));
    return exit_fine;
  }
  if (options.arrays) {
    std::erase_if(entries, [](const Entry& entry) { return entry.kind != Kind::array; });
  }
  if (options.json) {
    nlohmann::ordered_json document;
    document["file"] = options.file;
    document["path"] = options.path;
    document["entries"] = nlohmann::ordered_json::array();
    for (const Entry& entry : entries) {
      document["entries"].push_back(entry_json(entry));
    }
    print_json(document);
    return exit_fine;
  }
  Table table({2});
  for (const Entry& entry : entries) {
    table.add(cells(entry, name_text(entry.path)));
  }
  print(table.text());
  return exit_fine;
}

}  // namespace stele::cli

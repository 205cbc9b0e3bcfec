#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "base/naming.hpp"
#include "interop/input.hpp"
#include "interop/safetensors/file.hpp"
#include "interop/safetensors/header.hpp"
#include "interop/safetensors/json_events.hpp"
#include "interop/safetensors/safetensors.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

constexpr std::string_view metadata_name = "metadata";
constexpr std::string_view map_name = "weight_map";

struct Index {
  std::map<std::string, std::set<std::string>> files;  // the names of the arrays in each
  Metadata metadata;
};

class IndexEvents final : public JsonEvents {
 public:
  explicit IndexEvents(Index& index) : index_(index) {}

  void begin(bool is_object) override {
    ++depth_;
    if (depth_ == 1 || (depth_ == 2 && part_ == Part::map)) {
      require(is_object);
    } else if (depth_ == 3 && part_ == Part::map) {
      fail_file();
    } else if (depth_ == 2 && part_ == Part::metadata) {
      require(is_object);
    } else if (depth_ == 3 && part_ == Part::metadata) {
      fail_metadata();
    }
  }
  void end() override { --depth_; }

  void key(std::string&& name) override {
    if (depth_ == 1) {
      part_ = name == map_name ? Part::map : name == metadata_name ? Part::metadata : Part::other;
      if (part_ != Part::other && std::exchange(seen_[static_cast<std::size_t>(part_)], true)) {
        fail_twice(name);
      }
    } else if (depth_ == 2) {
      name_ = std::move(name);
    }
  }

  void scalar(Scalar kind, const Number& number, std::string&& text) override {
    if (depth_ == 0 || (depth_ == 1 && part_ == Part::map)) {
      require(false);
    } else if (depth_ == 1 && part_ == Part::metadata) {
      require(kind == Scalar::null);
    } else if (depth_ == 2 && part_ == Part::map) {
      if (kind != Scalar::text) {
        fail_file();
      }
      add_tensor(std::move(text));
    } else if (depth_ == 2 && part_ == Part::metadata) {
      if (!index_.metadata.try_emplace(name_, metadata(kind, number, std::move(text))).second) {
        fail_twice(name_);
      }
    }
  }

  void finish() const {
    if (!seen_[static_cast<std::size_t>(Part::map)]) {
      fail(Errc::malformed, "no index of safetensors files: weight_map is missing");
    }
    // Each name once, whatever the file.
    std::vector<std::string_view> names;
    for (const auto& [file, tensors] : index_.files) {
      names.insert(names.end(), tensors.begin(), tensors.end());
    }
    std::sort(names.begin(), names.end());
    if (const auto twice = std::adjacent_find(names.begin(), names.end()); twice != names.end()) {
      fail_twice(*twice);
    }
  }

 private:
  enum class Part : std::uint8_t { map, metadata, other };

  static void require(bool holds) {
    if (!holds) {
      fail(Errc::malformed, "no index of safetensors files: an object with the objects weight_map and metadata");
    }
  }
  [[noreturn]] static void fail_twice(std::string_view name) {
    fail(Errc::duplicate_field, "the index names \"" + std::string(name) + "\" twice");
  }
  [[noreturn]] void fail_file() const { fail(Errc::malformed, "no file's name", {.path = safetensors_path(name_)}); }
  [[noreturn]] void fail_metadata() const {
    fail(Errc::unsupported, "the metadata \"" + name_ + "\" is no text, number or boolean");
  }

  void add_tensor(std::string&& file) {
    if (file.empty() || file == "." || file == ".." || file.find_first_of(std::string_view("/\\\0", 3)) != file.npos) {
      fail(Errc::malformed, "\"" + file + "\" is no file in the folder of the index",
           {.path = safetensors_path(name_)});
    }
    if (!index_.files[std::move(file)].insert(name_).second) {
      fail_twice(name_);
    }
  }

  MetadataValue metadata(Scalar kind, const Number& number, std::string&& text) const {
    switch (kind) {
      case Scalar::text:
        return std::move(text);
      case Scalar::boolean:
        return number.natural != 0;
      case Scalar::natural:
        return number.natural;
      case Scalar::negative:
        return static_cast<std::int64_t>(number.natural);
      case Scalar::real:
        return number.real;
      default:
        fail_metadata();
    }
  }

  Index& index_;
  std::size_t depth_ = 0;
  Part part_ = Part::other;
  std::string name_;
  bool seen_[2] = {};
};

Index read_index(const std::string& path) {
  return naming(path, [&] {
    const std::unique_ptr<Source> source = file_source(path);
    std::string text;
    for (std::size_t have = 0, room = std::size_t{64} << 10;; room *= 2) {
      text.resize(room);
      have += read_up_to(*source, std::as_writable_bytes(std::span(text)).subspan(have));
      if (have > longest_safetensors_header) {
        fail(Errc::limit_exceeded, "an index of more than " + std::to_string(longest_safetensors_header) + " bytes");
      }
      if (have < room) {
        text.resize(have);
        break;
      }
    }
    Index index;
    IndexEvents events(index);
    parse_json_events(text, events);
    events.finish();
    return index;
  });
}

/// Takes over the metadata of a file.
void add_metadata(Metadata& all, const std::string& file, Metadata&& more) {
  for (auto& [name, value] : more) {
    const auto [place, is_new] = all.try_emplace(name, value);
    if (!is_new && !(place->second == value) && !all.try_emplace(file + "/" + name, std::move(value)).second) {
      fail(Errc::duplicate_field, "the metadata \"" + file + "/" + name + "\" comes twice");
    }
  }
}

}  // namespace

Tensors read_safetensors_index(const std::string& path, const LoadOptions& options) {
  Index index = read_index(path);
  const std::string folder = path.substr(0, path.rfind('/') + 1);
  Tensors out;
  std::vector<Value::Entry> entries;
  out.metadata = std::move(index.metadata);
  for (const auto& [name, wanted] : index.files) {
    const std::string file = folder + name;
    SafetensorsFile content = naming(file, [&] {
      std::shared_ptr<Mapping> mapping = options.map == MapMode::none ? nullptr : Mapping::open(file, options.map);
      const std::unique_ptr<Source> source = mapping == nullptr ? file_source(file) : memory_source(mapping->bytes());
      return read_safetensors_file({*source, mapping, file, options},
                                   [&](const std::string& tensor) { return wanted.contains(tensor); });
    });
    if (content.tensors.size() < wanted.size()) {
      std::set<std::string_view> missing(wanted.begin(), wanted.end());
      for (const Value::Entry& entry : content.tensors) {
        missing.erase(entry.first.text());
      }
      fail(Errc::not_found, "the index has an array in this file that it lacks",
           {.path = safetensors_path(*missing.begin()), .file = file});
    }
    std::move(content.tensors.begin(), content.tensors.end(), std::back_inserter(entries));
    add_metadata(out.metadata, name, std::move(content.metadata));
  }
  out.value = Value::make_map(std::move(entries));
  return out;
}

}  // namespace stele

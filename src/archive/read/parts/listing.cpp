#include "archive/read/parts/listing.hpp"

#include <unordered_set>

#include "archive/read/decoder/state.hpp"
#include "format/path/path.hpp"

namespace stele {
namespace {

constexpr std::size_t longest_text = 80;

class Lister {
 public:
  Lister(Decoder& in, const ListOptions& options) : in_(in), options_(options) {}

  void value(const std::string& path, std::size_t depth) {
    const std::size_t at = entries_.size();
    Entry& entry = entries_.emplace_back();
    entry.path = path;
    while (const auto name = in_.begin_typed()) {
      entry.type = *name;
    }
    const auto reference = in_.peek_reference();
    entry.kind = in_.kind();
    entry.offset = in_.position();
    if (reference && depth > 0 && entry.kind != Kind::array) {
      // The target is listed at its own place. Following references would repeat it, endlessly in a cycle.
      entry.text = *reference;
      in_.skip();
      return;
    }
    const std::uint64_t begin = entry.offset;
    switch (entry.kind) {
      case Kind::array:
        array(entry);
        return;  // bytes and offset are those of the elements
      case Kind::sequence:
        sequence(at, path, depth);
        break;
      case Kind::map:
        map(at, path, depth);
        break;
      case Kind::record:
        record(at, path, depth);
        break;
      case Kind::text:
        entry.text = text();
        break;
      case Kind::bytes: {
        std::string bytes;
        in_.text(bytes);
        entry.text = std::to_string(bytes.size()) + " bytes";
        break;
      }
      case Kind::boolean:
        entry.text = in_.boolean() ? "true" : "false";
        break;
      case Kind::null:
        in_.null();
        entry.text = "null";
        break;
      default:
        entry.text = number_text(in_.number());
    }
    const std::uint64_t end = in_.here();
    entries_[at].bytes = end > begin ? end - begin : 0;
  }

  std::vector<Entry> take() { return std::move(entries_); }

 private:
  void array(Entry& entry) {
    const Decoder::ArrayItem item = in_.skip_array();
    entry.dtype = item.header.dtype;
    entry.shape = item.header.shape;
    entry.order = item.header.order;
    entry.encoding = item.encoding_name(item.view);
    entry.bytes = item.view ? item.bytes : item.stored_bytes;
    entry.offset = item.data_offset;
    entry.mappable = item.mappable;
    entry.listed = item.definite && !item.plain && item.stored_bytes >= frozen::listed_array_bytes;
  }

  std::string text() {
    std::string text;
    in_.text(text);
    if (text.size() > longest_text) {
      std::size_t cut = longest_text;
      while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xc0) == 0x80) {
        --cut;  // do not cut inside a character
      }
      text.resize(cut);
      text += "…";
    }
    return text;
  }

  /// Lists a child, or skips it if the options say so.
  void child(std::size_t parent, std::uint64_t index, std::string_view name, std::size_t depth) {
    if (is_listed(index, depth)) {
      std::string path = entries_[parent].path;
      append_step(path, name);
      value(path, depth + 1);
    } else {
      in_.skip();
    }
  }
  bool is_listed(std::uint64_t index, std::size_t depth) const noexcept {
    return depth < options_.depth && index < options_.max_items;
  }

  void sequence(std::size_t at, const std::string&, std::size_t depth) {
    entries_[at].count = in_.begin_sequence();
    std::uint64_t index = 0;
    for (; in_.next(); ++index) {
      child(at, index, std::to_string(index), depth);
    }
    entries_[at].count = index;
  }

  void map(std::size_t at, const std::string&, std::size_t depth) {
    in_.begin_map();
    std::unordered_set<std::string> names;
    std::uint64_t index = 0;
    for (; in_.next(); ++index) {
      std::string name;
      const bool named = key(name);
      if (!is_listed(index, depth)) {
        in_.skip();
        continue;
      }
      std::string path = entries_[at].path;
      if (named && names.insert(name).second) {
        append_step(path, name);
      } else {
        append_place(path, index);
      }
      value(path, depth + 1);
    }
    entries_[at].count = index;
  }
  /// Reads a key; returns whether it is text.
  bool key(std::string& name) {
    switch (in_.kind()) {
      case Kind::text:
      case Kind::bytes:
        in_.text(name);
        return true;
      case Kind::integer:
      case Kind::real: {
        const Number number = in_.number();
        name = number_text(number);
        return is_step(number);
      }
      default:
        in_.skip();
        return false;
    }
  }

  void record(std::size_t at, const std::string&, std::size_t depth) {
    in_.begin_record();
    std::string_view name;
    std::uint64_t index = 0;
    for (; in_.next_field(name); ++index) {
      child(at, index, std::string(name), depth);
    }
    entries_[at].count = index;
  }

  Decoder& in_;
  const ListOptions& options_;
  std::vector<Entry> entries_;
};

}  // namespace

std::vector<Entry> list_values(Decoder& in, const ListOptions& options) {
  Lister lister(in, options);
  lister.value(options.path, 0);
  return lister.take();
}

}  // namespace stele

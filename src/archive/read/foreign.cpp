#include "archive/read/foreign.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <string>
#include <unordered_set>

#include "archive/read/rereader.hpp"
#include "archive/sharded/opened.hpp"
#include "archive/value/later.hpp"
#include "archive/value/nodes.hpp"
#include "base/naming.hpp"
#include "base/stack.hpp"
#include "format/array/typed.hpp"
#include "format/path/path.hpp"
#include "io/descriptor.hpp"
#include "io/read.hpp"
#include "io/system.hpp"
#include "io/wrap/forwarding.hpp"
#include "io/wrap/prefix.hpp"

namespace stele {

std::optional<Foreign> read_foreign(const Opened& opened, std::string_view path, std::shared_ptr<Mapping> mapping,
                                    std::shared_ptr<Rereader> again) {
  const Formats* const formats = opened.options.formats;
  Source& source = *opened.source;
  if (formats == nullptr) {
    return std::nullopt;
  }
  std::vector<std::byte> first(Formats::first_bytes);
  if (source.random_access()) {
    first.resize(static_cast<std::size_t>(std::min<std::uint64_t>(first.size(), *source.size())));
    source.read_at(0, first);
  } else {
    first.resize(source.peek(first).value_or(0));
  }
  if (may_be_label(Bytes(first).first(std::min(first.size(), frozen::label.size()))) && first.size() >= 4) {
    return std::nullopt;
  }
  const std::string_view format = formats->recognise(first, path);
  if (format.empty()) {
    return std::nullopt;
  }
  return formats->read(format, {source, std::move(mapping), std::string(path), opened.options, std::move(again)});
}

namespace {

/// Keeps what a Source needs.
class OpenedSource final : public ForwardingSource {
 public:
  explicit OpenedSource(Opened opened) : ForwardingSource(*opened.source), opened_(std::move(opened)) {}

 private:
  const Opened opened_;
};

/// Differs where another file has the name, or the file was written to.
using FileState = std::array<std::int64_t, 5>;
FileState state_of(const std::string& name) {
  struct stat status;
  if (system_calls().stat(name.c_str(), &status) != 0) {
    fail_call("examine", name, errno);
  }
  return {static_cast<std::int64_t>(status.st_dev), static_cast<std::int64_t>(status.st_ino), status.st_size,
          status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
}

std::shared_ptr<Mapping> mapping_of(const Path& path, const Opened& opened) {
  if (opened.compressed) {
    return nullptr;
  }
  try {
    return Mapping::open(path, MapMode::read_only, opened.options.offset);
  } catch (const Error&) {  // it is read instead
    return nullptr;
  }
}

}  // namespace

ForeignFile open_foreign(const Path& path, const LoadOptions& options) {
  return naming(path.text(), [&] {
    if (const auto sharded = shards::open_if_sharded(path, options)) {
      const Info& info = sharded->info();
      return ForeignFile{
          {"sharded archive", sharded->value({}), info.metadata}, info.codec, info.stored_bytes, info.plain_bytes};
    }
    LoadOptions reading = options;
    reading.map = MapMode::none;
    const std::string name = path.text();
    const FileState before = state_of(name);
    Opened opened = open_path(path, reading, Loading::whole);
    const bool in_order = !opened.source->random_access();
    if (in_order) {
      std::vector<std::byte> first(Formats::first_bytes);
      first.resize(read_up_to(*opened.source, first));
      opened.source = std::make_unique<PrefixSource>(std::move(first), std::move(opened.source));
    }
    auto again = std::make_shared<Rereader>([name, reading, before]() -> std::unique_ptr<Source> {
      auto source = std::make_unique<OpenedSource>(open_path(Path(name), reading, Loading::whole));
      if (state_of(name) != before) {  // its arrays would be taken from other places
        fail(Errc::io, "the file was changed or replaced while it was read");
      }
      return source;
    });
    std::optional<Foreign> content = read_foreign(opened, name, mapping_of(path, opened), std::move(again));
    if (!content) {
      fail(Errc::not_an_archive, "it is in no format that is known");
    }
    std::byte more{};
    if (in_order && read_up_to(*opened.source, {&more, 1}) == 0) {  // else what comes later checks the end
      opened.source->finish();
    }
    const std::uint64_t plain = opened.source->size().value_or(arrays_of(content->value).bytes);
    return ForeignFile{*std::move(content), opened.codec, opened.stored_bytes != 0 ? opened.stored_bytes : plain,
                       plain};
  });
}

const Value* find_in(const Value& root, std::string_view path) {
  try {
    return &root.at_path(path);
  } catch (const Error& error) {
    if (error.code() == Errc::not_found) {
      return nullptr;
    }
    throw;
  }
}

namespace {

constexpr std::size_t longest_text = 80;

class Lister {
 public:
  Lister(const ListOptions& options, Bytes mapped) : options_(options), mapped_(mapped) {}

  void value(const Value& given, const std::string& path, std::size_t depth) {
    if (stack_is_low()) {
      fail(Errc::limit_exceeded, "values are nested too deep for this thread's stack", {.path = path});
    }
    const std::size_t at = entries_.size();
    entries_.emplace_back().path = path;
    const Value* inside = &given;
    while (inside->is(ValueKind::typed) || inside->is(ValueKind::shared)) {
      if (inside->is(ValueKind::typed)) {
        entries_[at].type = inside->type_name();
      }
      inside = &inside->content();
    }
    Entry& entry = entries_[at];
    if (inside->is(ValueKind::reference)) {
      entry.kind = Kind::sequence;
      entry.text = "a reference";
      return;
    }
    entry.kind = static_cast<Kind>(inside->kind());
    switch (inside->kind()) {
      case ValueKind::array:
        array(inside->array(), entry);
        break;
      case ValueKind::sequence:
      case ValueKind::record: {
        entry.count = inside->size();
        for (std::uint64_t i = 0; i < inside->size(); ++i) {
          const auto index = static_cast<std::size_t>(i);
          child(at, i, inside->is_record() ? std::string(inside->names()[index]) : std::to_string(i),
                inside->items()[index], depth);
        }
        break;
      }
      case ValueKind::map:
        map(*inside, at, depth);
        break;
      case ValueKind::text:
        entry.text = shortened(inside->text());
        break;
      case ValueKind::bytes:
        entry.text = std::to_string(inside->bytes().size()) + " bytes";
        entry.bytes = inside->bytes().size();
        break;
      case ValueKind::boolean:
        entry.text = inside->boolean() ? "true" : "false";
        break;
      case ValueKind::null:
        entry.text = "null";
        break;
      default:
        entry.text = number_text(inside->number());
    }
  }

  std::vector<Entry> take() { return std::move(entries_); }

 private:
  void array(const AnyArray& array, Entry& entry) const {
    entry.dtype = array.dtype();
    entry.shape = array.shape();
    entry.order = stored_order(array.view());
    entry.encoding = "raw";
    entry.bytes = array.view().byte_count();
    const std::less<> before;
    const std::byte* const first = array.view().data;
    const std::byte* const end = mapped_.data() + mapped_.size();
    if (!mapped_.empty() && !before(first, mapped_.data()) && before(first, end)) {
      entry.mappable = true;
      entry.offset = static_cast<std::uint64_t>(first - mapped_.data());
    }
  }

  static std::string shortened(const std::string& text) {
    if (text.size() <= longest_text) {
      return text;
    }
    std::size_t cut = longest_text;
    while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xc0) == 0x80) {
      --cut;  // do not cut inside a character
    }
    return text.substr(0, cut) + "…";
  }

  bool is_listed(std::uint64_t index, std::size_t depth) const noexcept {
    return depth < options_.depth && index < options_.max_items;
  }
  void child(std::size_t parent, std::uint64_t index, const std::string& name, const Value& item, std::size_t depth) {
    if (is_listed(index, depth)) {
      std::string path = entries_[parent].path;
      append_step(path, name);
      value(item, path, depth + 1);
    }
  }
  void map(const Value& map, std::size_t at, std::size_t depth) {
    entries_[at].count = map.size();
    std::unordered_set<std::string> names;
    std::uint64_t index = 0;
    for (const auto& [key, item] : map.entries()) {
      if (!is_listed(index, depth)) {
        return;
      }
      const bool number = key.is_number() && is_step(key.number());
      std::string path = entries_[at].path;
      std::string name = key.is_text() ? key.text() : number ? number_text(key.number()) : std::string();
      if ((key.is_text() || number) && names.insert(name).second) {
        append_step(path, name);
      } else {
        append_place(path, index);
      }
      value(item, path, depth + 1);
      ++index;
    }
  }

  const ListOptions& options_;
  const Bytes mapped_;
  std::vector<Entry> entries_;
};

}  // namespace

std::vector<Entry> list_value(const Value& root, const ListOptions& options, Bytes mapped) {
  const Value* const start = find_in(root, options.path);
  if (start == nullptr) {
    fail(Errc::not_found, "there is no value at this path", {.path = options.path});
  }
  Lister lister(options, mapped);
  lister.value(*start, options.path, 0);
  return lister.take();
}

ArrayTotals arrays_of(const Value& root) {
  ArrayTotals totals;
  std::vector<const Value*> left{&root};
  while (!left.empty()) {
    const Value& value = *left.back();
    left.pop_back();
    switch (value.kind()) {
      case ValueKind::array:
        ++totals.count;
        totals.bytes += later_array(value) != nullptr ? later_array(value)->bytes() : value.array().view().byte_count();
        break;
      case ValueKind::sequence:
      case ValueKind::record:
        for (const Value& item : value.items()) {
          left.push_back(&item);
        }
        break;
      case ValueKind::map:
        for (const auto& [key, item] : value.entries()) {
          left.push_back(&key);
          left.push_back(&item);
        }
        break;
      case ValueKind::typed:
      case ValueKind::shared:
        left.push_back(&value.content());
        break;
      default:
        break;
    }
  }
  return totals;
}

}  // namespace stele

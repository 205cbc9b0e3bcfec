#include "archive/read/parts/locate.hpp"

#include <algorithm>
#include <charconv>

#include "archive/read/decoder/state.hpp"
#include "format/path/path.hpp"

namespace stele {
namespace {

void append(std::string& path, const PathStep& step) {
  switch (step.kind) {
    case PathStep::Kind::name:
      return append_step(path, step.name);
    case PathStep::Kind::place:
      return append_place(path, step.index);
    case PathStep::Kind::deferred:
      path = deferred_path(step.index);
  }
}

}  // namespace

std::optional<std::uint64_t> index_of(const std::string& name) {
  std::uint64_t index = 0;
  const auto [end, failed] = std::from_chars(name.data(), name.data() + name.size(), index);
  const bool whole = failed == std::errc() && end == name.data() + name.size();
  return whole && (name.size() == 1 || name[0] != '0') ? std::optional(index) : std::nullopt;
}

bool key_is(Decoder& decoder, const PathStep& step, std::uint64_t index, std::string& key) {
  if (step.kind != PathStep::Kind::name) {
    decoder.skip();
    return step.kind == PathStep::Kind::place && step.index == index;
  }
  switch (decoder.kind()) {
    case Kind::text:
    case Kind::bytes:
      decoder.text(key);
      return key == step.name;
    case Kind::integer:
    case Kind::real: {
      const Number number = decoder.number();
      return is_step(number) && number_text(number) == step.name;
    }
    default:
      decoder.skip();
      return false;
  }
}

Parts::Part Parts::at(std::uint64_t offset, std::string_view path) const {
  DecoderContext context = options_.context;
  context.path = path;
  auto part = std::make_unique<Decoding>(source_, options_.input, std::move(context));
  part->input.seek(offset);
  part->decoder.begin_inside();
  return part;
}

const StepEntry* Parts::steps(std::string_view path) const {
  const auto& all = options_.context.directory->steps;
  const auto found = std::find_if(all.begin(), all.end(), [&](const StepEntry& entry) { return entry.path == path; });
  return found == all.end() || found->steps.empty() ? nullptr : &*found;
}

Parts::Part Parts::at_target(std::uint64_t offset, std::string_view path) const {
  Part part = at(offset, path);
  const auto target = part->decoder.target();
  if (!target) {
    return part;
  }
  return at(*target, path);
}

std::optional<std::uint64_t> Parts::locate(std::string_view path) const {
  const std::vector<PathStep> steps = split_path(path);
  // Start at the deepest listed value on the path.
  std::uint64_t offset = frozen::label.size();
  std::size_t done = 0;
  std::string here;
  std::string prefix;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    append(prefix, steps[i]);
    if (steps[i].kind == PathStep::Kind::deferred) {
      const auto deferred = at(offset, {})->decoder.find_deferred(steps[i].index);
      if (!deferred) {
        return std::nullopt;
      }
      offset = *deferred;
      done = 1;
      here = prefix;
    }
    for (const NodeEntry& node : options_.context.directory->nodes) {
      if (node.path == prefix) {
        offset = node.offset;
        done = i + 1;
        here = prefix;
      }
    }
  }
  for (std::size_t i = done; i < steps.size(); ++i) {
    const auto next = child(offset, here, steps[i]);
    if (!next) {
      return std::nullopt;
    }
    offset = *next;
    append(here, steps[i]);
  }
  return offset;
}

std::optional<std::uint64_t> Parts::child(std::uint64_t offset, std::string_view parent,
                                          const PathStep& step_name) const {
  Part part = at_target(offset, parent);
  Decoder& decoder = part->decoder;
  bool object = false;
  while (const auto type = decoder.begin_typed()) {
    object = type->starts_with(frozen::object_prefix);
  }
  const std::uint64_t content = decoder.here();
  const auto found = child_of(content, parent, step_name);
  if (found || !object || step_name.kind != PathStep::Kind::name) {
    return found;
  }
  return member(content, parent, step_name);
}

/// A member of the generic object whose record is at `offset`.
std::optional<std::uint64_t> Parts::member(std::uint64_t offset, std::string_view parent,
                                           const PathStep& step_name) const {
  for (const std::string_view name : frozen::object_members) {
    const auto members = child_of(offset, parent, {PathStep::Kind::name, std::string(name), 0});
    if (!members) {
      continue;
    }
    std::string path(parent);
    append_step(path, name);
    if (const auto found = child(*members, path, step_name)) {
      return found;
    }
    for (const char* const item : {"0", "1"}) {  // the members and the slots of an object
      const auto half = child(*members, path, {PathStep::Kind::name, item, 0});
      std::string half_path = path;
      append_step(half_path, item);
      const auto found = half ? child(*half, half_path, step_name) : std::nullopt;
      if (found) {
        return found;
      }
    }
  }
  return std::nullopt;
}

/// child() of a value that is not a reference and has no type's name.
std::optional<std::uint64_t> Parts::child_of(std::uint64_t offset, std::string_view parent,
                                             const PathStep& step_name) const {
  Part part = at(offset, parent);
  Decoder& decoder = part->decoder;
  const std::string& name = step_name.name;
  const Kind kind = decoder.kind();
  if (step_name.kind != PathStep::Kind::name && kind != Kind::map) {
    return std::nullopt;
  }
  switch (kind) {
    case Kind::record: {
      std::string_view field;
      decoder.begin_record();
      while (decoder.next_field(field)) {
        if (field == name) {
          return decoder.here();
        }
        decoder.skip();
      }
      return std::nullopt;
    }
    case Kind::map: {
      std::string key;
      const StepEntry* entry = steps(parent);
      const auto count = decoder.begin_map();
      // A map that does not store its count is searched from its beginning.
      if (count && entry != nullptr && entry->keyed && step_name.kind == PathStep::Kind::name &&
          std::string_view(entry->steps.front().key) <= name) {
        // The keys ascend: start at the last step that is not after the name and stop at the next one.
        const auto step = std::upper_bound(entry->steps.begin(), entry->steps.end(), name,
                                           [](const std::string& n, const StepEntry::Step& s) { return n < s.key; });
        Part inside = at((step - 1)->offset, parent);
        const std::uint64_t until = step == entry->steps.end() ? ~std::uint64_t{0} : step->offset;
        for (std::uint64_t i = (step - 1)->index; i < *count && inside->decoder.here() < until; ++i) {
          if (key_is(inside->decoder, step_name, i, key)) {
            return inside->decoder.here();
          }
          inside->decoder.skip();
        }
        return std::nullopt;
      }
      for (std::uint64_t i = 0; decoder.next(); ++i) {
        if (key_is(decoder, step_name, i, key)) {
          return decoder.here();
        }
        decoder.skip();
      }
      return std::nullopt;
    }
    case Kind::sequence: {
      const auto index = index_of(name);
      if (!index) {
        return std::nullopt;
      }
      const auto count = decoder.begin_sequence();
      if (count && *index >= *count) {
        return std::nullopt;
      }
      const StepEntry* entry = steps(parent);
      if (count && entry != nullptr && !entry->keyed && entry->steps.front().index <= *index) {
        const auto step =
            std::upper_bound(entry->steps.begin(), entry->steps.end(), *index,
                             [](std::uint64_t wanted, const StepEntry::Step& s) { return wanted < s.index; });
        Part inside = at((step - 1)->offset, parent);
        for (std::uint64_t i = (step - 1)->index; i < *index; ++i) {
          inside->decoder.skip();
        }
        return inside->decoder.here();
      }
      for (std::uint64_t i = 0; decoder.next(); ++i) {
        if (i == *index) {
          return decoder.here();
        }
        decoder.skip();
      }
      return std::nullopt;
    }
    default:
      return std::nullopt;
  }
}

}  // namespace stele

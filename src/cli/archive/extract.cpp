// stele extract

#include <algorithm>

#include <nlohmann/json.hpp>

#include "cli/archive/indexed.hpp"
#include "cli/commands.hpp"
#include "cli/print/report.hpp"
#include "cli/streams/input.hpp"
#include "cli/streams/output.hpp"
#include "stele/value.hpp"

namespace stele::cli {
namespace {

constexpr std::uint64_t piece_bytes = std::uint64_t{1} << 20;

/// The content of a typed or shared value.
const Value& inside(const Value& value) {
  const Value* at = &value;
  while (at->is(ValueKind::typed) || at->is(ValueKind::shared)) {
    at = &at->content();
  }
  return *at;
}

void write_elements(const ArrayView& view, Sink& to) {
  const std::uint64_t count = view.shape.count();
  const std::uint64_t size = view.dtype.item_size();
  if (count == 0 || size == 0) {
    return;
  }
  const std::uint64_t per_piece = std::max<std::uint64_t>(1, piece_bytes / size);
  if (view.is_dense(Order::row_major)) {
    for (std::uint64_t first = 0; first < count; first += per_piece) {
      to.write({view.data + first * size, static_cast<std::size_t>(std::min(per_piece, count - first) * size)});
    }
    return;
  }
  std::vector<std::byte> piece(static_cast<std::size_t>(std::min(per_piece, count) * size));
  for (std::uint64_t first = 0; first < count; first += per_piece) {
    const std::uint64_t n = std::min(per_piece, count - first);
    gather(view, Order::row_major, first, n, piece.data());
    to.write(Bytes(piece).first(static_cast<std::size_t>(n * size)));
  }
}

void write_raw(const Value& value, const std::string& path, Sink& to) {
  switch (value.kind()) {
    case ValueKind::array:
      return write_elements(value.array().view(), to);
    case ValueKind::bytes:
      return to.write(value.bytes());
    case ValueKind::text:
      return to.write(std::as_bytes(std::span(value.text())));
    default:
      fail(Errc::invalid_argument,
           "--raw is for arrays, text and bytes, and this is of the kind " + std::string(to_string(value.kind())),
           {path, {}});
  }
}

}  // namespace

int extract(const ExtractOptions& options) {
  const File file = open_archive(
      options.file,
      {.map = MapMode::read_only, .verify = Verify::full, .threads = options.threads, .offset = options.offset});
  const Value value = load_indexed(file, options.path);
  const Codecs codecs;
  const Codec* codec = options.raw ? nullptr : choose_codec(codecs, options.codec, options.output, options.level);
  Output output(options.output, options.sync, options.in_place, options.json);
  if (options.raw) {
    write_raw(inside(value), options.path, output);
  } else {
    write_value(output, options.output, codec, value,
                {.codec = std::string(codec != nullptr ? codec->name() : "plain"),
                 .level = options.level,
                 .filter = options.filter,
                 .threads = options.threads,
                 .metadata = file.info().metadata});
  }
  output.close();
  if (options.json) {
    nlohmann::ordered_json document;
    document["file"] = options.file;
    document["path"] = options.path;
    document["output"] = options.output;
    document["raw"] = options.raw;
    document["stored_bytes"] = output.count();
    print_json(document);
  }
  return exit_fine;
}

}  // namespace stele::cli

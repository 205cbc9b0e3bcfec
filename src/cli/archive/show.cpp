// stele show

#include <limits>

#include "cli/archive/indexed.hpp"
#include "cli/commands.hpp"
#include "cli/print/format.hpp"
#include "cli/print/report.hpp"
#include "cli/streams/input.hpp"
#include "stele/describe.hpp"
#include "stele/value.hpp"

namespace stele::cli {
namespace {

constexpr std::size_t no_limit = std::numeric_limits<std::size_t>::max();
constexpr std::size_t standard_edge = 3;

DescribeOptions describe_options(const ShowOptions& options) {
  DescribeOptions describe;
  describe.format = options.json ? DescribeOptions::Format::json : DescribeOptions::Format::text;
  if (options.full) {
    describe.max_items = no_limit;
    describe.max_text = no_limit;
  }
  describe.max_items = options.items.value_or(describe.max_items);
  describe.max_depth = options.depth.value_or(describe.max_depth);
  return describe;
}

std::string array_text(const ArrayView& view, const ShowOptions& options) {
  const bool columns = !view.is_dense(Order::row_major) && view.is_dense(Order::column_major);
  const std::size_t edge =
      options.full ? std::numeric_limits<std::size_t>::max() / 2 : options.items.value_or(standard_edge);
  return printable(view.dtype.name()) + view.shape.text() + (columns ? " column-major" : "") + "  " +
         size_text(view.byte_count()) + "\n" + format_elements(view, edge);
}

}  // namespace

std::string show_text(const Value& value, const ShowOptions& options) {
  const bool in_full = value.is_array() && !options.json;
  return in_full ? array_text(value.array().view(), options) : describe(value, describe_options(options));
}

int show(const ShowOptions& options) {
  const File file = open_archive(
      options.file,
      {.map = MapMode::read_only, .verify = options.verify, .threads = options.threads, .offset = options.offset});
  print(show_text(load_indexed(file, options.path), options) + "\n");
  return exit_fine;
}

}  // namespace stele::cli

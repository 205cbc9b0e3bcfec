#pragma once
// The elements of arrays whose boxes lie in parts, read to the caller's memory without anything of other parts.

#include <cstdint>
#include <functional>
#include <span>

#include "archive/sharded/table.hpp"
#include "stele/archive.hpp"

namespace stele::shards {

/// Opens a part, an index in Manifest::files. Called by several threads at once; the File outlives the read.
using PartOf = std::function<const File&(std::uint32_t file)>;

/// Where a box was put in a part.
std::string path_of_key(const std::string& key);
/// Opens the array of a box. Throws: Error(damaged) where the part has another one than the manifest says.
AnyLazyArray array_of(const File& part, const ArrayOf& array, const Box& box);

/// Reads positions along each axis, as many ranges as axes, each with the count of its positions, to `to`, densely in
/// row-major order, converted to `dtype` as load() does. `to` has room for exactly these elements. Record fields that
/// are not stored keep their contents. Many small boxes are read by `threads` threads.
/// Throws: what AnyLazyArray::read() throws, Error(damaged).
void read_boxes(const ArrayOf& array, const PartOf& part, std::span<const Range> ranges, const DType& dtype,
                MutableBytes to, unsigned threads);
/// The same of rows, positions along the first axis in any order.
void gather_rows(const ArrayOf& array, const PartOf& part, std::span<const std::uint64_t> rows, const DType& dtype,
                 MutableBytes to);

}  // namespace stele::shards

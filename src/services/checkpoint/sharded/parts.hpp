#pragma once
// The folder of parts, and the manifests that say which of them make a step.

#include <functional>
#include <string>
#include <vector>

#include "archive/sharded/table.hpp"
#include "services/checkpoint/core.hpp"
#include "stele/sharded.hpp"

namespace stele::shards {

/// The name of a part's file.
std::string part_name(std::uint64_t step, std::string_view attempt, unsigned rank, unsigned ranks);

/// Reads the manifest of a sharded step. Throws: what open() throws, Error(damaged).
Manifest read_manifest(const CheckpointCore& core, const StepFile& file);

/// The path of a part, also where it is only kept for others. Throws: Error(not_found).
std::string find_part(const CheckpointCore& core, const PartFile& part);

/// Writes all arrays and values to one archive, a map by their names.
void export_parts(const ShardedCheckpoint& from, const Path& path, const SaveOptions& options);

/// Moves the parts of a step whose manifest is gone to those that are kept for others. sweep_parts() takes them if
/// there are none.
void put_aside(const CheckpointCore& core, const Manifest& gone);

/// Removes what killed writers left: parts of a step that was committed without them later, or a day ago, and parts
/// that were put aside and nobody refers to.
void sweep_parts(const CheckpointCore& core);

}  // namespace stele::shards

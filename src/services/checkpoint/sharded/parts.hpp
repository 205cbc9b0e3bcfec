#pragma once
// The folder of parts, and the manifests that say which of them make a step.

#include <functional>
#include <string>
#include <vector>

#include "services/checkpoint/core.hpp"
#include "services/checkpoint/sharded/manifest.hpp"
#include "stele/sharded.hpp"

namespace stele::shards {

/// Reads the manifest of a sharded step. Throws: what open() throws, Error(damaged).
Manifest read_manifest(const CheckpointCore& core, const StepFile& file);

/// The path of a part, also where it is only kept for others. Throws: Error(not_found).
std::string find_part(const CheckpointCore& core, const PartFile& part);

/// Writes all arrays and values to one archive, a map by their names.
void export_parts(const ShardedCheckpoint& from, const Path& path, const SaveOptions& options);

/// Removes the parts of a step whose manifest is gone. What other parts refer to stays.
void remove_parts(const CheckpointCore& core, const Manifest& gone, const std::vector<Manifest>& others);

/// Removes what killed writers left: parts of a step that was committed without them later, or a day ago, and kept ones
/// that nobody refers to any more.
void sweep_parts(const CheckpointCore& core, const std::vector<StepRecord>& steps);

}  // namespace stele::shards

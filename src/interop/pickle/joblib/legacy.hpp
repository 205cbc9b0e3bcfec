#pragma once
// Z-files, as joblib before 0.10 compressed: "ZF", the plain size in hexadecimal in 19 characters, a zlib stream.

#include <memory>

#include "stele/array.hpp"
#include "stele/io.hpp"
#include "stele/options.hpp"

namespace stele::pickle {

class Window;

bool is_zfile(Bytes first) noexcept;

/// The plain bytes of a Z-file that begins at `stored`, which must outlive the result, as a Source of a known size.
/// Throws: Error(malformed). Reading throws Error(damaged) where the sizes differ.
std::unique_ptr<Source> zfile_source(Source& stored, const LoadOptions& options);

/// All plain bytes of a Z-file.
std::shared_ptr<Buffer> read_zfile(Source& stored, const LoadOptions& options);

}  // namespace stele::pickle

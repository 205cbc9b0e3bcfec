#pragma once
// The rows of one array of an archive that is read in order.

#include <functional>
#include <memory>
#include <string_view>

#include "archive/read/decoder/decoder.hpp"
#include "stele/lazy_array.hpp"
#include "stele/options.hpp"

namespace stele {

/// The rows of the array at `path`. `decoder` is at the root of an archive and must outlive the result. `finish` is
/// called when the root has been read to its end. `wanted` checks the array's type; it is not kept.
/// Throws: Error(not_found), Error(type_mismatch), and what the decoder throws.
std::shared_ptr<RowStream> rows_in_order(Decoder& decoder, std::string_view path, ArrayTarget& wanted,
                                         const Limits& limits, std::function<void()> finish);

}  // namespace stele

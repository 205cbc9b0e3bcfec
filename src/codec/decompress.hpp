#pragma once
// What is behind decompressing_source().

#include <memory>

#include "stele/codec.hpp"

namespace stele {

/// `stored` read block by block, or null where it cannot be; then `stored` is left as it was. Its index() tells whether
/// that is to be relied on; BlockSource::take_stored() gives the file back.
class BlockSource;
std::unique_ptr<BlockSource> block_source(std::unique_ptr<Source>& stored, const Codec& codec,
                                          const DecodeOptions& options);
/// `stored` read in order.
std::unique_ptr<Source> in_order_source(std::unique_ptr<Source> stored, const Codec& codec,
                                        const DecodeOptions& options);

}  // namespace stele

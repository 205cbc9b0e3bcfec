#pragma once
// Decodes an encoded array while its bytes come from the Input.

#include <memory>

#include "archive/read/input.hpp"
#include "base/threads/pool.hpp"
#include "encoding/encoding.hpp"

namespace stele {

class EncodedReader {
 public:
  /// `count` elements (components) are stored at the current position of `input`: as the data of a listed array, after
  /// begin_payload(), or as structure. `input` must outlive this object.
  EncodedReader(Input& input, const Encoding& encoding, bool listed, std::uint64_t count);

  /// The next bytes of the elements. Throws: Error(damaged), and what the Input throws.
  void read(MutableBytes to);
  /// Skips the rest.
  void skip();

 private:
  void decode(Bytes stored, MutableBytes to);
  void decode_run(std::uint64_t count, MutableBytes to);

  Input& input_;
  const Encoding encoding_;
  const bool listed_;
  std::uint64_t left_;  // elements not yet decoded
  Pool<EncodingScratch> scratch_;
  std::vector<std::byte> block_;  // a block that is read in parts
  Bytes ready_;                   // the rest of that block
};

}  // namespace stele

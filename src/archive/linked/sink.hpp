#pragma once
// Writing a linked archive: pieces of arrays that an earlier archive holds are referred to and not written.

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "archive/linked/base.hpp"
#include "stele/io.hpp"

namespace stele {

/// A Sink for one archive. Where nothing is referred to, its file is that archive, an ordinary one.
class LinkingSink final : public Sink {
 public:
  /// `file` must be patchable. It and `base` must outlive the Sink.
  LinkingSink(Sink& file, const LinkBase& base);

  void write(Bytes bytes) override;
  void close() override;

  /// The elements of a listed array follow, `bytes` of them, in pieces of frozen::checked_piece_bytes. An empty path:
  /// they are encoded, and none is known.
  void begin_array(std::string_view path, std::uint64_t bytes);
  /// Whether the base has the piece `index`, of this length and XXH3-64. If so, it counts as written.
  bool refer(std::size_t index, std::uint64_t bytes, std::uint64_t checksum);

 private:
  std::size_t number_of(std::size_t base_file);

  Sink& file_;
  const LinkBase& base_;
  const LinkBase::Known* known_ = nullptr;  // the array being written
  std::uint64_t array_bytes_ = 0;
  LinkTable table_;
  std::vector<std::size_t> numbers_;  // by index in the base's files: that in the table, from 1; 0: not used yet
  std::vector<std::byte> last_;       // the last bytes of the archive so far, up to the length of its trailer
  std::uint64_t length_ = 0;          // of the archive
  std::uint64_t stored_ = 0;          // of the file
  std::uint64_t referred_ = 0;
};

}  // namespace stele

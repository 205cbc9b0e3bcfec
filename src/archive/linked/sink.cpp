#include "archive/linked/sink.hpp"

#include <algorithm>
#include <array>

#include "base/checksum.hpp"
#include "format/directory.hpp"
#include "format/frozen.hpp"
#include "stele/error.hpp"

namespace stele {

LinkingSink::LinkingSink(Sink& file, const LinkBase& base)
    : file_(file), base_(base), numbers_(base.files().size(), 0) {
  if (!file.patchable()) {
    fail(Errc::invalid_argument, "a linked archive is written to a file");
  }
}

void LinkingSink::write(Bytes bytes) {
  if (bytes.empty()) {
    return;
  }
  // In its page of the file a byte has the place that it has in its page of the archive, so that both can be mapped.
  const std::uint64_t gap = (length_ - stored_) % frozen::link_alignment;
  if (gap != 0) {
    const std::array<std::byte, frozen::link_alignment> zeros{};
    file_.write(Bytes(zeros).first(static_cast<std::size_t>(gap)));
    stored_ += gap;
  }
  file_.write(bytes);
  last_.insert(last_.end(), bytes.end() - static_cast<std::ptrdiff_t>(std::min(bytes.size(), frozen::trailer_bytes)),
               bytes.end());
  last_.erase(last_.begin(), last_.end() - static_cast<std::ptrdiff_t>(std::min(last_.size(), frozen::trailer_bytes)));
  table_.add({bytes.size(), 0, stored_});
  length_ += bytes.size();
  stored_ += bytes.size();
}

void LinkingSink::begin_array(std::string_view path, std::uint64_t bytes) {
  array_bytes_ = path.empty() ? 0 : bytes;
  known_ = path.empty() ? nullptr : base_.find(path, bytes);
}

bool LinkingSink::refer(std::size_t index, std::uint64_t bytes, std::uint64_t checksum) {
  if (index == 0 && array_bytes_ != 0 && (known_ == nullptr || known_->pieces[0].checksum != checksum)) {
    // perhaps the array has another path now
    if (const LinkBase::Known* const other = base_.find(array_bytes_, checksum)) {
      known_ = other;
    }
  }
  if (known_ == nullptr || index >= known_->pieces.size()) {
    return false;
  }
  const LinkBase::Piece& piece = known_->pieces[index];
  if (piece.file == 0 || piece.checksum != checksum) {
    return false;
  }
  table_.add({bytes, number_of(piece.file - 1), piece.offset});
  length_ += bytes;
  referred_ += bytes;
  return true;
}

/// The number in the table of a file of the base.
std::size_t LinkingSink::number_of(std::size_t base_file) {
  std::size_t& number = numbers_[base_file];
  if (number == 0) {
    table_.files.push_back(base_.files()[base_file]);
    number = table_.files.size();
  }
  return number;
}

void LinkingSink::close() {
  if (referred_ == 0) {
    return;
  }
  // The label is a part of every archive; the first extent begins after it.
  table_.length = length_;
  table_.extents.front().offset += frozen::label.size();
  table_.extents.front().length -= frozen::label.size();
  const std::vector<std::byte> item = encode_links(table_);
  file_.write(item);
  Trailer trailer;
  trailer.directory_offset = stored_;
  trailer.directory_length = item.size();
  trailer.total_length = stored_ + item.size() + frozen::trailer_bytes;
  trailer.directory_checksum = xxh3_64(item);
  trailer.structure_checksum = xxh3_64(last_);
  file_.write(encode_trailer(trailer, frozen::link_end_magic));
  file_.patch(0, std::as_bytes(std::span(frozen::link_label)));
}

}  // namespace stele

#include "archive/write/item.hpp"

namespace stele {

void ItemMemory::write(Bytes bytes) {
  if (bytes.size() > most_ - kept_.size()) {
    throw Full{};
  }
  sink_->write(bytes);
}

ItemWriter::ItemWriter(const SaveOptions& options, std::size_t most)
    : ItemMemory(most), Encoder(static_cast<Sink&>(*this), nullptr, options, false) {}

void ItemWriter::begin(const Walkable& value) {
  kept_.clear();
  Encoder::begin(value);
}

MutableBytes ItemWriter::item(std::size_t room) {
  finish_value();
  MutableBytes all = out_.unsent();
  if (all.size() < out_.position()) {
    out_.flush();
    all = kept_;
  }
  return all.subspan(frozen::label.size() - room);
}

Bytes ItemWriter::archive() {
  finish_archive();
  return kept_;
}

}  // namespace stele

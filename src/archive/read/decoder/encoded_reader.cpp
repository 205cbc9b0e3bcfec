#include "archive/read/decoder/encoded_reader.hpp"

#include <algorithm>
#include <cstring>

namespace stele {

EncodedReader::EncodedReader(Input& input, const Encoding& encoding, bool listed, std::uint64_t count)
    : input_(input), encoding_(encoding), listed_(listed), left_(count) {}

void EncodedReader::read(MutableBytes to) {
  while (!to.empty()) {
    if (!ready_.empty()) {
      const std::size_t size = std::min(to.size(), ready_.size());
      std::memcpy(to.data(), ready_.data(), size);
      ready_ = ready_.subspan(size);
      to = to.subspan(size);
      continue;
    }
    // Decodes whole blocks directly into the destination, and the shorter one at the end of the array too.
    std::uint64_t count = std::min<std::uint64_t>(to.size() / encoding_.item_size, left_);
    if (count < left_) {
      count -= count % encoding_.block_items;
    }
    if (count > 0) {
      const MutableBytes whole = to.first(static_cast<std::size_t>(count * encoding_.item_size));
      decode_run(count, whole);
      to = to.subspan(whole.size());
    } else {
      count = std::min(left_, encoding_.block_items);
      block_.resize(static_cast<std::size_t>(count * encoding_.item_size));
      decode_run(count, block_);
      ready_ = block_;
    }
  }
}

void EncodedReader::skip() {
  constexpr std::uint64_t piece = std::uint64_t{4} << 20;
  const std::uint64_t blocks = std::max<std::uint64_t>(piece / encoding_.block_size(), 1);
  std::vector<std::byte> passed;
  while (left_ > 0) {
    passed.resize(static_cast<std::size_t>(std::min(left_, blocks * encoding_.block_items) * encoding_.item_size));
    read(passed);
  }
}

void EncodedReader::decode(Bytes stored, MutableBytes to) {
  const auto scratch = scratch_.take();
  while (!stored.empty()) {
    const std::uint64_t count = std::min<std::uint64_t>(to.size() / encoding_.item_size, encoding_.block_items);
    decode_block(encoding_, stored.data(), count, to.data(), *scratch);
    stored = stored.subspan(static_cast<std::size_t>(encoding_.stored_size(count)));
    to = to.subspan(static_cast<std::size_t>(count * encoding_.item_size));
  }
}

void EncodedReader::decode_run(std::uint64_t count, MutableBytes to) {
  const std::uint64_t size = encoding_.stored_size(count);
  left_ -= count;
  if (!listed_) {
    std::vector<std::byte> stored(static_cast<std::size_t>(size));  // smaller than a listed array
    input_.read(stored);
    decode(stored, to);
    return;
  }
  input_.encoded_payload(size,
                         {.stored_unit = encoding_.block_stored_size(),
                          .unit = encoding_.block_size(),
                          .decode = [&](Bytes stored, MutableBytes into) { decode(stored, into); }},
                         to);
}

}  // namespace stele

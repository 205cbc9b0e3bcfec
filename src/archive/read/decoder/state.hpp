#pragma once
// Parts of the decoder that only its own sources need.

#include "archive/read/decoder/decoder.hpp"

namespace stele {

/// An open container.
struct Decoder::Frame {
  Form form = Form::sequence;
  bool indefinite = false;
  bool followed = false;                            // reached through a reference
  bool awaiting_key = false;                        // map: the next value is a key
  std::uint64_t remaining = 0;                      // items, entries or fields to come
  std::uint64_t index = 0;                          // items, entries or fields begun
  const std::vector<std::string>* names = nullptr;  // record_tuple, and a record read as a map
  enum class Key : std::uint8_t { other, text, number } key_form = Key::other;  // of the previous key
  bool key_known = false;                                                       // map: the key of the current entry
  bool by_place = false;  // map: the entry's path is its index: its key is not text or equals the previous
  std::string key;        // map, record_map: the current key
  Number number;          // map: the current key if it is a number
};

/// Where reading continues after a reference.
struct Decoder::Reference {
  Input* from = nullptr;
  std::unique_ptr<Input> detour;
  std::uint64_t start = 0;  // offset of the referenced value
  std::uint64_t open_items = 0;
  std::uint64_t shared_count = 0;
  bool shared_count_known = true;
};

/// An array in a buffer, kept for later references.
struct Decoder::KnownArray {
  ArrayView view;
  std::shared_ptr<Buffer> buffer;
  bool mappable = false;  // stored in the file as in memory
};

}  // namespace stele

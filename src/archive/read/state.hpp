#pragma once
// The decoder's parts that only its own sources need.

#include "archive/read/decoder.hpp"

namespace stele {

/// A container that is being read.
struct Decoder::Frame {
  Form form = Form::sequence;
  bool indefinite = false;
  bool followed = false;                            // a reference led here
  bool awaiting_key = false;                        // map: the next value is a key
  std::uint64_t remaining = 0;                      // items, entries or fields
  std::uint64_t index = 0;                          // of those begun
  const std::vector<std::string>* names = nullptr;  // record_tuple, and a record read as a map
  enum class Key : std::uint8_t { other, text, number } key_form = Key::other;  // of the last key
  bool key_known = false;                                                       // map: of the current entry
  bool by_place = false;  // map: the entry has no step of its own, as its key is no text or reads as the one before
  std::string key;        // map, record_map: the current key
  Number number;          // map: the current key, if it is a number
};

/// A place that reading returns to.
struct Decoder::Reference {
  Input* from = nullptr;
  std::unique_ptr<Input> detour;
  std::uint64_t start = 0;  // of the value referred to
  std::uint64_t open_items = 0;
  std::uint64_t shared_count = 0;
  bool shared_count_known = true;
};

/// An array in a buffer, for later references.
struct Decoder::KnownArray {
  ArrayView view;
  std::shared_ptr<Buffer> buffer;
  bool mappable = false;  // lies in the file as in memory
};

}  // namespace stele

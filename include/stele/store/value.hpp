#pragma once
// A value of a Store in place: a view of the mapped file, or of the memory it was fetched or decompressed to.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "stele/archive.hpp"
#include "stele/store/key.hpp"

namespace stele {

class StoreRecord;  // the library's own

/// The value of a key. It keeps its bytes alive, also when the value is overwritten, erased or moved by a vacuum, and
/// when the Store is closed. Copies are cheap and share the bytes. Several threads may call const members at once.
class StoreValue {
 public:
  StoreValue() noexcept = default;

  /// Whether it was put as text or as bytes, not as an object.
  bool is_text() const noexcept;
  bool is_bytes() const noexcept;
  /// The text or bytes in place; those of 4 KiB or more begin at a multiple of 64. Valid as long as this StoreValue or
  /// a copy.
  /// Throws: Error(type_mismatch) for an object.
  Bytes bytes() const&;
  Bytes bytes() const&& = delete;
  std::string_view text() const&;
  std::string_view text() const&& = delete;
  /// The bytes it takes in the store, without its key.
  std::uint64_t stored_bytes() const noexcept { return stored_bytes_; }

  /// The object. Its Arrays of 4 KiB or more are views of the mapped file, if it was not compressed.
  /// Throws: what load() throws.
  template <class T>
  T as(const LoadOptions& options = {}) const {
    static_assert(!std::is_same_v<T, std::string_view> && !std::is_same_v<T, Bytes>,
                  "stele: this view would outlive what it shows; use StoreValue::text() or bytes()");
    static_assert(
        std::is_move_constructible_v<T>,
        "stele: as<T>() returns a T, which can be neither moved nor copied (a destructor takes the move constructor "
        "away); use std::unique_ptr<T>");
    if constexpr (std::is_same_v<T, std::string>) {
      if (is_text() || is_bytes()) {
        check();
        return std::string(text());
      }
    } else if constexpr (std::is_same_v<T, std::vector<std::byte>>) {
      if (is_text() || is_bytes()) {
        check();
        const Bytes all = bytes();
        return {all.begin(), all.end()};
      }
    }
    T value = walk::make<T>();
    read_into(value, options);
    return value;
  }
  /// Replaces what `value` holds. Throws: what load() throws; `value` may then be incomplete.
  template <class T>
  void read_into(T& value, const LoadOptions& options = {}) const {
    const std::unique_ptr<Part> part = open(options);
    read_whole(part->visitor(), value, [&] { part->finish(); });
  }

 private:
  friend class StoreRecord;
  class Part {
   public:
    virtual ~Part() = default;
    virtual InVisitor& visitor() = 0;
    virtual void finish() = 0;
  };
  std::unique_ptr<Part> open(const LoadOptions& options) const;

  enum class Form : std::uint8_t { text, bytes, item, archive };
  Form form_ = Form::bytes;
  Bytes item_;     // the CBOR item in the store, or decompressed
  Bytes payload_;  // what a text or byte string holds, or the item of an object, or its archive
  std::uint64_t stored_bytes_ = 0;
  void check() const;                       // checks what was not checked when it was handed out
  std::optional<std::uint64_t> unchecked_;  // XXH3-64 of payload_, if that was not compared yet
  struct Memory {
    std::vector<std::byte> bytes;
    std::string file;
  };
  const std::string& file() const noexcept;  // it comes from, for messages
  std::shared_ptr<Mapping> mapping_;         // holds item_, or is null
  std::shared_ptr<const Memory> memory_;     // else this does
};

}  // namespace stele

#pragma once
// KnownFeatures: the exact list of the features of a FeatureStore, in the order in which they first occurred, with
// their names. A filter cannot list what was added to it; with this list it can be asked for each feature.

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "stele/filters/key_hash.hpp"
#include "stele/filters/own_array.hpp"
#include "stele/walk.hpp"

namespace stele {

/// A feature: an integer, an enumerator or text. Text must outlive the Feature.
class Feature {
 public:
  template <class T>
    requires(std::integral<T> || std::is_enum_v<T>)
  constexpr Feature(T number) noexcept : key_(number), number_(static_cast<std::int64_t>(number)), is_number_(true) {}
  template <class T>
    requires std::convertible_to<const T&, std::string_view>
  Feature(const T& text) : key_(text), text_(text) {}

  KeyHash key() const noexcept { return key_; }
  bool is_number() const noexcept { return is_number_; }
  std::int64_t number() const noexcept { return number_; }
  std::string_view text() const noexcept { return text_; }

 private:
  KeyHash key_;
  std::string_view text_;
  std::int64_t number_ = 0;
  bool is_number_ = false;
};

/// A list of distinct features with a hash table over it, in arrays that can be mapped. Features whose keys have the
/// same hash count as one. Copies are values. Not thread-safe, except const functions.
class KnownFeatures {
 public:
  /// The index of a feature. A new feature is added. It is marked as seen at `time`.
  /// Throws: Error(limit_exceeded) beyond 2^31 features.
  std::uint32_t add(const Feature& feature, std::uint32_t time = 0);
  std::optional<std::uint32_t> find(KeyHash feature) const noexcept;

  std::uint64_t size() const noexcept { return hashes_.size(); }
  /// The hashes of all features' keys, by index. Valid until the list changes.
  std::span<const std::uint64_t> hashes() const& noexcept { return {hashes_.data(), hashes_.size()}; }
  std::span<const std::uint64_t> hashes() && = delete;
  KeyHash key(std::uint32_t index) const { return KeyHash::of_hash(hashes_[checked(index)]); }
  /// The text as it was added, or the number in decimal digits. Valid until the list changes.
  /// Throws: Error(out_of_range), Error(damaged) if a file contradicts itself.
  std::string_view name(std::uint32_t index) const&;
  std::string_view name(std::uint32_t index) && = delete;
  /// The number of a feature; nothing for text.
  std::optional<std::int64_t> number(std::uint32_t index) const;
  /// The last time the feature was added.
  std::uint32_t last_time(std::uint32_t index) const { return times_[checked(index)]; }

  /// Marks features as seen, from several threads at once. Call prepare_marks() before, in one thread.
  void prepare_marks() { (void)times_.own(); }
  void mark_atomic(std::uint32_t index, std::uint32_t time);
  /// Drops the features last seen before `time`. Indices change; the order stays.
  void forget_before(std::uint32_t time);
  void clear() { *this = KnownFeatures(); }

  /// The bytes of all arrays.
  std::uint64_t byte_count() const noexcept;

  friend bool operator==(const KnownFeatures& a, const KnownFeatures& b);

  static void visit(auto& v, auto& self) {
    v.version(1);
    v("hashes", self.hashes_.stored())("times", self.times_.stored())("are_numbers", self.are_numbers_.stored());
    v("ends", self.ends_.stored())("text", self.text_.stored())("slots", self.slots_.stored());
  }

 private:
  friend struct Visit<KnownFeatures>;
  std::uint32_t checked(std::uint32_t index) const;
  std::uint64_t slot_of(std::uint64_t hash) const noexcept;
  void grow_slots(std::uint64_t features);
  void append(std::uint64_t hash, std::string_view name, bool is_number, std::uint32_t time);
  const char* fault() const noexcept;

  OwnArray<std::uint64_t> hashes_;
  OwnArray<std::uint32_t> times_;
  OwnArray<std::uint8_t> are_numbers_;  // 1 or 0
  OwnArray<std::uint64_t> ends_;        // of each name in text_
  OwnArray<std::uint8_t> text_;
  OwnArray<std::uint32_t> slots_;  // open addressing by the low bits of the hash: index + 1, or 0
};

/// Stored as a record; loading checks it.
/// Throws: Error(damaged), Error(unsupported) for a newer version.
template <>
struct Visit<KnownFeatures> {
  using built_in = KnownFeatures;
  static void write(OutVisitor& out, const KnownFeatures& value);
  static void read(InVisitor& in, KnownFeatures& value);
};

}  // namespace stele

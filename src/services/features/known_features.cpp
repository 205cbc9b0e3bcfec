#include "stele/features/known_features.hpp"

#include <algorithm>
#include <atomic>
#include <bit>
#include <charconv>
#include <string>
#include <utility>

#include "services/filters/checked_read.hpp"

namespace stele {
namespace {

constexpr std::uint32_t known_features_version = 1;
constexpr std::uint64_t most_features = std::uint64_t{1} << 31;
constexpr std::uint64_t least_slots = 16;

/// At most half of the slots are taken.
std::uint64_t slots_for(std::uint64_t features) noexcept { return std::bit_ceil(std::max(2 * features, least_slots)); }

template <class T>
bool same(const OwnArray<T>& a, const OwnArray<T>& b) {
  return std::equal(a.data(), a.data() + a.size(), b.data(), b.data() + b.size());
}

}  // namespace

/// The slot that has the feature, or the free slot for it; slots_.size() if a damaged table has neither.
std::uint64_t KnownFeatures::slot_of(std::uint64_t hash) const noexcept {
  const std::uint64_t slots = slots_.size();
  const std::uint64_t mask = slots - 1;
  for (std::uint64_t i = 0; i < slots; ++i) {
    const std::uint64_t slot = (hash + i) & mask;
    const std::uint32_t entry = slots_[slot];
    if (entry == 0 || (entry <= hashes_.size() && hashes_[entry - 1] == hash)) {
      return slot;
    }
  }
  return slots;
}

std::optional<std::uint32_t> KnownFeatures::find(KeyHash feature) const noexcept {
  const std::uint64_t slot = slot_of(feature.hash());
  return slot == slots_.size() || slots_[slot] == 0 ? std::nullopt : std::optional(slots_[slot] - 1);
}

/// Builds a new table with room for `features`.
void KnownFeatures::grow_slots(std::uint64_t features) {
  slots_ = OwnArray(Array<std::uint32_t>({slots_for(features)}));
  std::uint32_t* slots = slots_.own();
  for (std::uint64_t i = 0; i < hashes_.size(); ++i) {
    slots[slot_of(hashes_[i])] = static_cast<std::uint32_t>(i + 1);
  }
}

void KnownFeatures::append(std::uint64_t hash, std::string_view name, bool is_number, std::uint32_t time) {
  if (size() == most_features) {
    fail(Errc::limit_exceeded, "more than 2^31 known features");
  }
  if (slots_for(size() + 1) > slots_.size()) {
    grow_slots(size() + 1);
  }
  const std::uint64_t slot = slot_of(hash);
  if (slot == slots_.size()) {
    fail(Errc::damaged, "the table of known features is full");
  }
  const std::uint8_t number = is_number ? 1 : 0;
  std::uint32_t* slots = slots_.own();  // first what may fail
  text_.make_room(name.size());
  ends_.make_room(1);
  are_numbers_.make_room(1);
  times_.make_room(1);
  hashes_.make_room(1);
  text_.append({reinterpret_cast<const std::uint8_t*>(name.data()), name.size()});
  const std::uint64_t end = text_.size();
  ends_.append({&end, 1});
  are_numbers_.append({&number, 1});
  times_.append({&time, 1});
  hashes_.append({&hash, 1});
  slots[slot] = static_cast<std::uint32_t>(hashes_.size());
}

std::uint32_t KnownFeatures::add(const Feature& feature, std::uint32_t time) {
  if (const auto index = find(feature.key())) {
    if (times_[*index] < time) {
      times_.own()[*index] = time;
    }
    return *index;
  }
  char digits[24];
  const auto written = std::to_chars(digits, digits + sizeof digits, feature.number());
  append(
      feature.key().hash(),
      feature.is_number() ? std::string_view(digits, static_cast<std::size_t>(written.ptr - digits)) : feature.text(),
      feature.is_number(), time);
  return static_cast<std::uint32_t>(size() - 1);
}

void KnownFeatures::mark_atomic(std::uint32_t index, std::uint32_t time) {
  const std::atomic_ref<std::uint32_t> last(times_.own()[checked(index)]);
  if (last.load(std::memory_order_relaxed) < time) {
    last.store(time, std::memory_order_relaxed);
  }
}

std::uint32_t KnownFeatures::checked(std::uint32_t index) const {
  if (index >= size()) {
    fail(Errc::out_of_range, "feature " + std::to_string(index) + " of " + std::to_string(size()));
  }
  return index;
}

std::string_view KnownFeatures::name(std::uint32_t index) const& {
  const std::uint64_t begin = checked(index) == 0 ? 0 : ends_[index - 1];
  const std::uint64_t end = ends_[index];
  if (begin > end || end > text_.size()) {
    fail(Errc::damaged, "the name of feature " + std::to_string(index) + " lies outside the text");
  }
  return {reinterpret_cast<const char*>(text_.data()) + begin, end - begin};
}

std::optional<std::int64_t> KnownFeatures::number(std::uint32_t index) const {
  if (are_numbers_[checked(index)] == 0) {
    return std::nullopt;
  }
  const std::string_view digits = name(index);
  std::int64_t number = 0;
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (read.ec != std::errc() || read.ptr != digits.data() + digits.size()) {
    fail(Errc::damaged, "feature " + std::to_string(index) + " is not a number");
  }
  return number;
}

void KnownFeatures::forget_before(std::uint32_t time) {
  const std::uint32_t* times = times_.data();
  if (std::all_of(times, times + size(), [time](std::uint32_t last) { return last >= time; })) {
    return;
  }
  KnownFeatures kept;
  for (std::uint32_t i = 0; i < size(); ++i) {
    if (times[i] >= time) {
      kept.append(hashes_[i], name(i), are_numbers_[i] != 0, times[i]);
    }
  }
  *this = std::move(kept);
}

std::uint64_t KnownFeatures::byte_count() const noexcept {
  return 17 * hashes_.size() + 4 * times_.size() + text_.size() + 4 * slots_.size();
}

bool operator==(const KnownFeatures& a, const KnownFeatures& b) {  // the table follows from the hashes
  return same(a.hashes_, b.hashes_) && same(a.times_, b.times_) && same(a.are_numbers_, b.are_numbers_) &&
         same(a.ends_, b.ends_) && same(a.text_, b.text_);
}

/// The problem with the sizes; null for none. Offsets in text_ and hashes_ are checked when they are used, so that
/// mapping need not read them.
const char* KnownFeatures::fault() const noexcept {
  const std::uint64_t n = hashes_.size();
  if (n > most_features || times_.size() != n || are_numbers_.size() != n || ends_.size() != n) {
    return "lists of different lengths";
  }
  if (slots_.size() != 0 && (!std::has_single_bit(slots_.size()) || slots_.size() > slots_for(most_features))) {
    return "the size of the table is not a power of two";
  }
  if (slots_.size() < (n == 0 ? 0 : slots_for(n))) {
    return "the table is too small";
  }
  const bool dense = hashes_.array().is_dense() && times_.array().is_dense() && are_numbers_.array().is_dense() &&
                     ends_.array().is_dense() && text_.array().is_dense() && slots_.array().is_dense();
  return dense ? nullptr : "lists with gaps";
}

void Visit<KnownFeatures>::write(OutVisitor& out, const KnownFeatures& value) {
  walk::As<KnownFeatures>::write(out, value);
}

void Visit<KnownFeatures>::read(InVisitor& in, KnownFeatures& value) {
  checked_read(in, value, known_features_version, "list of features",
               [](const KnownFeatures& known) { return known.fault(); });
}

}  // namespace stele

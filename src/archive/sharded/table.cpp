#include "archive/sharded/table.hpp"

#include <algorithm>
#include <cstdio>
#include <random>
#include <tuple>

#include "format/array/typed.hpp"
#include "stele/error.hpp"

namespace stele::shards {
namespace {

/// Whether a box has a rank and extents that fit the array.
bool fits(const Box& box, const ArrayOf& array) noexcept {
  if (box.first.size() != array.shape.size() || box.extents.size() != array.shape.size()) {
    return false;
  }
  for (std::size_t axis = 0; axis < array.shape.size(); ++axis) {
    if (box.first[axis] > array.shape[axis] || box.extents[axis] > array.shape[axis] - box.first[axis]) {
      return false;
    }
  }
  return true;
}

std::uint64_t volume(const std::vector<std::uint64_t>& extents) { return Shape(extents).count(); }

bool overlap(const Box& a, const Box& b) noexcept {
  for (std::size_t axis = 0; axis < a.first.size(); ++axis) {
    if (a.first[axis] >= b.first[axis] + b.extents[axis] || b.first[axis] >= a.first[axis] + a.extents[axis]) {
      return false;
    }
  }
  return true;
}

/// A random number below 2^61 - 1 for each coordinate of each axis, always the same one in this process.
class Coordinates {
 public:
  static constexpr std::uint64_t prime = (std::uint64_t{1} << 61) - 1;
  std::uint64_t operator()(std::size_t axis, std::uint64_t coordinate) const noexcept {
    return mix(mix(first_ + axis) ^ (second_ + coordinate)) % prime;
  }
  static const Coordinates& of_process() {
    static const Coordinates coordinates;
    return coordinates;
  }

 private:
  Coordinates() {
    std::random_device random;
    const auto next = [&] { return std::uint64_t{random()} << 32 | random(); };
    first_ = next();
    second_ = next();
  }
  /// The output function of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
  static std::uint64_t mix(std::uint64_t x) noexcept {
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9U;
    x = (x ^ x >> 27) * 0x94d049bb133111ebU;
    return x ^ x >> 31;
  }
  std::uint64_t first_ = 0;
  std::uint64_t second_ = 0;
};

/// Whether each element of the array is in exactly one of the boxes, which all fit. Takes time in proportion to their
/// number. Boxes make up an array exactly if their corners, with alternating signs, cancel out to those of the array.
/// Seen as polynomials with a variable for each coordinate, the corners of a box are the product over the axes of
/// (end - begin). Equal polynomials have equal values at a random point; others with a chance of rank / 2^61.
bool make_up(const std::vector<Box>& boxes, const std::vector<std::uint64_t>& shape) {
  __extension__ using Wide = unsigned __int128;
  constexpr std::uint64_t prime = Coordinates::prime;
  const Coordinates& point = Coordinates::of_process();
  const auto corners = [&](const auto& begin_of, const auto& end_of) {
    std::uint64_t product = 1;
    for (std::size_t axis = 0; axis < shape.size() && product != 0; ++axis) {
      const std::uint64_t side = (point(axis, end_of(axis)) + prime - point(axis, begin_of(axis))) % prime;
      product = static_cast<std::uint64_t>(Wide{product} * side % prime);
    }
    return product;
  };
  std::uint64_t sum = 0;
  for (const Box& box : boxes) {
    sum += corners([&](std::size_t axis) { return box.first[axis]; },
                   [&](std::size_t axis) { return box.first[axis] + box.extents[axis]; });
    sum %= prime;
  }
  return sum == corners([](std::size_t) { return std::uint64_t{0}; }, [&](std::size_t axis) { return shape[axis]; });
}

std::string text_of(const Box& box) { return Shape(box.first).text() + " of " + Shape(box.extents).text(); }

}  // namespace

void check_attempt(std::string_view attempt, unsigned rank, unsigned ranks) {
  if (ranks == 0 || ranks > 99'999 || rank >= ranks) {
    fail(Errc::invalid_argument, message({"rank ", rank, " of ", ranks, " ranks; at most 99999"}));
  }
  const auto fine = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  };
  if (attempt.empty() || attempt.size() > 100 || !std::all_of(attempt.begin(), attempt.end(), fine)) {
    fail(Errc::invalid_argument, "an attempt to write parts is named by 1 to 100 letters, digits, '-' and '_'");
  }
}

std::string part_suffix(std::string_view attempt, unsigned rank, unsigned ranks) {
  char numbers[64];
  std::snprintf(numbers, sizeof numbers, "%05u-of-%05u", rank, ranks);
  return "." + std::string(attempt) + "." + numbers + ".stele";
}

bool is_manifest(const Metadata& metadata) {
  const auto found = metadata.find(std::string(archive_key));
  if (found == metadata.end()) {
    return metadata.contains(std::string(step_key));
  }
  if (!found->second.is_natural() || found->second.natural() != format) {
    fail(Errc::unsupported, "this sharded archive has a newer format than this version of stele reads");
  }
  return true;
}

std::string dtype_text(const DType& dtype) {
  std::vector<std::byte> bytes;
  cbor::Builder out(bytes);
  put_dtype(out, dtype);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

DType dtype_of_text(const std::string& text) {
  cbor::Cursor in(std::as_bytes(std::span(text)));
  bool big_endian = false;
  return get_dtype(in, big_endian);
}

void add_part(Manifest& manifest, PartTable part, PartFile file) {
  const auto number = static_cast<std::uint32_t>(manifest.files.size());
  for (auto& [name, array] : part.arrays) {
    const auto [known, added] = manifest.all.arrays.try_emplace(name, ArrayOf{array.dtype, array.shape, {}});
    if (known->second.dtype != array.dtype || known->second.shape != array.shape) {
      fail(Errc::invalid_argument,
           "the parts disagree about an array's type or extents: " + Shape(known->second.shape).text() + " and " +
               Shape(array.shape).text() + " in " + file.name,
           {name, {}});
    }
    for (Box& box : array.boxes) {
      box.file = number;
      known->second.boxes.push_back(std::move(box));
    }
  }
  for (auto& [name, value] : part.values) {
    manifest.all.values.try_emplace(name, ValueOf{number, std::move(value.key)});
  }
  manifest.files.push_back(std::move(file));
}

void check_boxes(Manifest& manifest) {
  for (auto& [name, array] : manifest.all.arrays) {
    const std::string& where = name;
    const auto refuse = [&](const std::string& what) { fail(Errc::invalid_argument, what, {where, {}}); };
    std::uint64_t covered = 0;
    std::erase_if(array.boxes, [](const Box& box) { return !box.extents.empty() && volume(box.extents) == 0; });
    // Of copies that of the lowest rank comes first.
    std::sort(array.boxes.begin(), array.boxes.end(), [](const Box& a, const Box& b) {
      return std::tie(a.first, a.extents, a.file) < std::tie(b.first, b.extents, b.file);
    });
    const auto same = std::unique(array.boxes.begin(), array.boxes.end(), [](const Box& a, const Box& b) {
      return a.first == b.first && a.extents == b.extents;
    });
    array.boxes.erase(same, array.boxes.end());
    for (const Box& box : array.boxes) {
      if (!fits(box, array)) {
        refuse("a box " + text_of(box) + " is not inside " + Shape(array.shape).text());
      }
      covered += volume(box.extents);
    }
    if (make_up(array.boxes, array.shape)) {
      continue;
    }
    for (std::size_t i = 0; i < array.boxes.size(); ++i) {
      const Box& box = array.boxes[i];
      // Those after it begin at or after it on the first axis.
      for (std::size_t j = i + 1; j < array.boxes.size(); ++j) {
        const Box& other = array.boxes[j];
        if (!box.first.empty() && other.first[0] >= box.first[0] + box.extents[0]) {
          break;
        }
        if (overlap(box, other)) {
          refuse("two boxes overlap: " + text_of(box) + " and " + text_of(other));
        }
      }
    }
    refuse(message({"the boxes leave a gap: they have ", covered, " of ", volume(array.shape), " elements"}));
  }
}

void check_read(Manifest& manifest) {
  for (auto& [name, array] : manifest.all.arrays) {
    try {
      dtype_of_text(array.dtype);
      volume(array.shape);  // throws where it has too many elements
    } catch (const Error& error) {
      fail(Errc::damaged, error.message(), {name, {}});
    }
    for (const Box& box : array.boxes) {
      if (box.file >= manifest.files.size() || !fits(box, array)) {
        fail(Errc::damaged, "the manifest contradicts itself", {name, {}});
      }
    }
    if (!make_up(array.boxes, array.shape)) {
      fail(Errc::damaged, "the boxes of the manifest do not make up an array", {name, {}});
    }
    std::sort(array.boxes.begin(), array.boxes.end(), [](const Box& a, const Box& b) { return a.first < b.first; });
  }
  for (const auto& [name, value] : manifest.all.values) {
    if (value.file >= manifest.files.size()) {
      fail(Errc::damaged, "the manifest contradicts itself", {name, {}});
    }
  }
}

}  // namespace stele::shards

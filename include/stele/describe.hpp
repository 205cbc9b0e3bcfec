#pragma once
// An object as a tree of text for people, or as JSON for programs. The object is walked once; nothing of it is kept,
// and only what is shown is examined.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "stele/options.hpp"
#include "stele/walk.hpp"

namespace stele {

struct DescribeOptions {
  enum class Format : std::uint8_t {
    text,  // a line for each value: `weights: float32[784, 128] row-major 401408 bytes`
    json,  // RFC 8259; arrays are {"kind", "dtype", "shape", "order", "bytes"}
  };
  Format format = Format::text;
  /// Items shown of a sequence or map, and elements of an array; the rest is counted.
  std::size_t max_items = 8;
  /// Levels shown below the root; of deeper containers only the count.
  std::size_t max_depth = 64;
  /// Bytes shown of a text.
  std::size_t max_text = 80;
  /// Names of polymorphic types; must outlive the call, or the Describer.
  const TypeRegistry* types = nullptr;
  /// Only `depth` applies: nested values, whether they are shown or not.
  Limits limits = {};
};

/// Describes the events of one value. Characters of names and texts that could command a terminal, are invisible or
/// change the direction of text are escaped. Not thread-safe.
///
/// JSON: records and maps are objects (a key that is not text is written as text; a record's version is "@version"),
/// sequences are arrays, numbers, text, true, false and null are themselves. All else is an object with a "kind":
///   array      dtype, shape, order, bytes, and values in row-major order where max_items suffices
///   bytes      bytes: their number                   text      bytes, head: of a text longer than max_text
///   typed      type, value                           shared    index, value
///   reference  index                                 more      count of items left out; in an object under "..."
///   sequence, map, record  count: of those deeper than max_depth
/// Numbers JSON does not have are "NaN", "Infinity", "-Infinity".
class Describer {
 public:
  explicit Describer(const DescribeOptions& options = {});
  ~Describer();
  Describer(const Describer&) = delete;
  Describer& operator=(const Describer&) = delete;

  /// Valid as long as the Describer.
  OutVisitor& visitor() noexcept;
  /// The text, without a newline at its end.
  std::string finish();

 private:
  class Visitor;
  std::unique_ptr<Visitor> visitor_;
};

/// The description of `value`.
/// Throws: Error(unknown_type) for a polymorphic type that options.types does not have.
template <class T>
std::string describe(const T& value, const DescribeOptions& options = {}) {
  Describer describer(options);
  write_whole(describer.visitor(), value);
  return describer.finish();
}

/// The elements of an array as NumPy prints them, "[[1.  2.5] ... [3.  4. ]]", in lines of up to 75 characters: along
/// each axis the first and last `edge_items`, or all if there are no more than twice as many.
std::string format_elements(const ArrayView& array, std::size_t edge_items = 3);

}  // namespace stele

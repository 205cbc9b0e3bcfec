// Pickles and joblib's files. The first byte of the input chooses how they are read: as a whole, one after the other,
// with out-of-band buffers and persistent ids, or only for what they refer to. A tree that was read is walked, saved as
// an archive where it is not too deep, and must come back from there. What is written as a pickle or joblib's file can
// be read.

#include <string>
#include <vector>

#include "fuzz.hpp"
#include "interop/pickle/pickle.hpp"
#include "interop/pickle/references.hpp"
#include "interop/pickle/write/pickle_writer.hpp"
#include "stele/archive.hpp"

namespace stele {
namespace {

using fuzz::require;
using fuzz::succeeds;

/// A Source that knows its size only if the file begins so.
class Part final : public Source {
 public:
  explicit Part(Bytes bytes) : bytes_(bytes) {}
  std::size_t read(MutableBytes into) override {
    const std::size_t count = std::min<std::size_t>({into.size(), bytes_.size() - at_, 7});
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(at_), count, into.begin());
    at_ += count;
    return count;
  }

 private:
  const Bytes bytes_;
  std::size_t at_ = 0;
};

void check(const Value& value) {
  require(value == value);
  for (const Reference& reference : references_of(value)) {
    require(reference.count > 0);
  }
  succeeds([&] {
    const std::vector<std::byte> archive = to_bytes(value);
    static_cast<void>(from_bytes<Value>(archive));
  });
  for (const bool joblib : {false, true}) {
    std::vector<std::byte> file;
    if (succeeds([&] { write_pickle(*memory_sink(file), value, {.joblib = joblib}); })) {
      const LoadOptions options;
      static_cast<void>(read_pickle({*memory_source(file), nullptr, "", options}));
    }
  }
}

void read(Source& source, const PickleOptions& more) {
  LoadOptions options;
  options.limits.allocation = std::uint64_t{1} << 26;
  check(read_pickle({source, nullptr, "", options}, more));
}

}  // namespace
}  // namespace stele

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stele;
  if (size == 0) {
    return 0;
  }
  const Bytes bytes = std::as_bytes(std::span(data + 1, size - 1));
  static_cast<void>(may_be_pickle(bytes));
  const std::unique_ptr<Source> whole = memory_source(bytes);
  Part part(bytes);
  const LoadOptions options;
  succeeds([&] {
    switch (data[0]) {
      case 'w':
        return read(*whole, {});
      case 'p':
        return read(part, {});
      case 'b': {
        const std::vector<AnyArray> buffers(2,
                                            AnyArray::copy_of(ArrayView(DType::Kind::uint8, "0123456789abcdef", 16)));
        return read(*whole, {.buffers = buffers, .persistent = [](const Value& id) { return id; }});
      }
      case 's': {
        const Neighbour file{*whole, nullptr, "", options};
        PickleReader reader(file);
        while (!reader.at_end()) {
          check(reader.next());
        }
        return;
      }
      case 't':
        static_cast<void>(pickle_references({*whole, nullptr, "", options}));
        return;
      default:
        return;
    }
  });
  return 0;
}

#include "archive/read/lazy/left_array.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "archive/read/lazy/selection.hpp"
#include "base/naming.hpp"

namespace stele {
namespace {

class LeftArray final : public LaterArray, public std::enable_shared_from_this<LeftArray> {
 public:
  LeftArray(const ArrayHeader& header, bool shareable, std::unique_ptr<StoredElements> elements, std::uint64_t first,
            LeftIn in)
      : LaterArray(header, shareable), in_(std::move(in)), elements_(std::move(elements)), first_(first) {}
  std::unique_ptr<Source> open() override;

 private:
  class Run;

  /// Some of the elements, densely in their order.
  void read_run(std::uint64_t at, std::uint64_t count, std::byte* to) const {
    naming(
        in_.file_name,
        [&] {
          const Selection run{first_ + at, {{.count = count, .stride = 1, .result_stride = 1}}};
          read_selection(*elements_, run, header().dtype, to, in_.threads);
        },
        in_.path);
  }

  const LeftIn in_;
  const std::unique_ptr<StoredElements> elements_;
  const std::uint64_t first_;
};

class LeftArray::Run final : public Source {
 public:
  explicit Run(std::shared_ptr<const LeftArray> array)
      : array_(std::move(array)), left_(array_->header().shape.count()) {}

  std::size_t read(MutableBytes into) override {
    const std::uint64_t item = array_->header().dtype.item_size();
    if (rest_.empty() && into.size() < item && left_ > 0) {  // a part of an element
      one_.resize(static_cast<std::size_t>(item));
      take(1, one_.data());
      rest_ = one_;
    }
    if (!rest_.empty()) {
      const std::size_t part = std::min(into.size(), rest_.size());
      std::copy_n(rest_.begin(), part, into.begin());
      rest_ = rest_.subspan(part);
      return part;
    }
    const std::uint64_t count = std::min(left_, into.size() / item);
    take(count, into.data());
    return static_cast<std::size_t>(count * item);
  }
  std::string name() const override { return array_->in_.file_name; }

 private:
  void take(std::uint64_t count, std::byte* to) {
    if (count > 0) {
      array_->read_run(array_->header().shape.count() - left_, count, to);
      left_ -= count;
    }
  }

  const std::shared_ptr<const LeftArray> array_;
  std::uint64_t left_;  // elements
  std::vector<std::byte> one_;
  Bytes rest_;  // of it
};

std::unique_ptr<Source> LeftArray::open() { return std::make_unique<Run>(shared_from_this()); }

}  // namespace

std::shared_ptr<LaterArray> left_array(const ArrayHeader& header, bool shareable,
                                       std::unique_ptr<StoredElements> elements, std::uint64_t first, LeftIn in) {
  return std::make_shared<LeftArray>(header, shareable, std::move(elements), first, std::move(in));
}

}  // namespace stele

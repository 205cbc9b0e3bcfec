#include "archive/read/lazy/left_array.hpp"

#include <utility>

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

class LeftArray::Run final : public ElementSource {
 public:
  explicit Run(std::shared_ptr<const LeftArray> array)
      : ElementSource(array->header().shape.count(), array->header().dtype.item_size()), array_(std::move(array)) {}
  std::string name() const override { return array_->in_.file_name; }

 private:
  void next(std::uint64_t count, std::byte* to) override {
    array_->read_run(array_->header().shape.count() - left(), count, to);
  }
  const std::shared_ptr<const LeftArray> array_;
};

std::unique_ptr<Source> LeftArray::open() { return std::make_unique<Run>(shared_from_this()); }

}  // namespace

std::shared_ptr<LaterArray> left_array(const ArrayHeader& header, bool shareable,
                                       std::unique_ptr<StoredElements> elements, std::uint64_t first, LeftIn in) {
  return std::make_shared<LeftArray>(header, shareable, std::move(elements), first, std::move(in));
}

}  // namespace stele

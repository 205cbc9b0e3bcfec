#include "archive/read/rereader.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "archive/value/later.hpp"
#include "io/read.hpp"
#include "stele/error.hpp"

namespace stele {
namespace {

class PlacedArray final : public LaterArray {
 public:
  PlacedArray(std::shared_ptr<Rereader> file, std::uint64_t offset, const ArrayHeader& header, bool is_last)
      : LaterArray(header), file_(std::move(file)), offset_(offset), is_last_(is_last) {}
  std::unique_ptr<Source> open() override { return file_->part(offset_, bytes(), is_last_); }
  bool in_any_order() const override { return false; }  // what lies before it would be decompressed again

 private:
  const std::shared_ptr<Rereader> file_;
  const std::uint64_t offset_;
  const bool is_last_;
};

}  // namespace

void pass_over(Source& source, std::uint64_t count) {
  constexpr std::uint64_t most = std::uint64_t{256} << 10;
  std::vector<std::byte> piece(static_cast<std::size_t>(std::min(count, most)));
  while (count > 0) {
    const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(count, piece.size()));
    read_exactly(source, MutableBytes(piece).first(part));
    count -= part;
  }
}

/// Gives the file back when it is gone, if it was read to its end.
class Rereader::Part final : public Source {
 public:
  Part(std::shared_ptr<Rereader> file, std::unique_ptr<Source> source, std::uint64_t offset, std::uint64_t bytes,
       bool is_last)
      : file_(std::move(file)), source_(std::move(source)), at_(offset), left_(bytes), is_last_(is_last) {}
  ~Part() override {
    const std::lock_guard lock(file_->mutex_);
    if (left_ == 0 && file_->source_ == nullptr) {
      file_->source_ = std::move(source_);
      file_->position_ = at_;
    }
  }
  std::size_t read(MutableBytes into) override {
    const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), left_));
    const std::size_t got = most == 0 ? 0 : source_->read(into.first(most));
    at_ += got;
    if (left_ > 0 && (left_ -= got) == 0 && is_last_) {
      check_end();
    }
    return got;
  }
  std::string name() const override { return source_->name(); }

 private:
  void check_end() {
    std::byte more{};
    if (read_up_to(*source_, {&more, 1}) != 0) {
      fail(Errc::malformed, "it goes on after the array's elements");
    }
    source_->finish();
  }

  const std::shared_ptr<Rereader> file_;
  std::unique_ptr<Source> source_;
  std::uint64_t at_;
  std::uint64_t left_;
  const bool is_last_;
};

std::unique_ptr<Source> Rereader::part(std::uint64_t offset, std::uint64_t bytes, bool is_last) {
  std::unique_ptr<Source> source;
  std::uint64_t position = 0;
  {
    const std::lock_guard lock(mutex_);
    if (source_ != nullptr && position_ <= offset) {
      source = std::move(source_);
      position = position_;
    }
  }
  if (source == nullptr) {
    source = open_();
  }
  if (source->random_access()) {
    source->seek(offset);
  } else {
    pass_over(*source, offset - position);
  }
  return std::make_unique<Part>(shared_from_this(), std::move(source), offset, bytes, is_last);
}

Value Rereader::array(std::uint64_t offset, const ArrayHeader& header, bool is_last) {
  return later_value(std::make_shared<PlacedArray>(shared_from_this(), offset, header, is_last));
}

}  // namespace stele

// Lines from sources that return pieces of any size.

#include "interop/lines.hpp"

#include <gtest/gtest.h>

#include "support/samples.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

/// Returns a fixed number of bytes at a time.
class Pieces final : public Source {
 public:
  Pieces(std::string text, std::size_t piece) : text_(std::move(text)), piece_(piece) {}
  std::size_t read(MutableBytes into) override {
    const std::size_t count = std::min({piece_, into.size(), text_.size() - at_});
    std::memcpy(into.data(), text_.data() + at_, count);
    at_ += count;
    return count;
  }

 private:
  const std::string text_;
  const std::size_t piece_;
  std::size_t at_ = 0;
};

TEST(Lines, PiecesDoNotMatter) {
  const std::vector<std::string> expected = {"",   "a", "", " b\r", std::string(100'000, 'c'), std::string("d\0", 2),
                                             "end"};
  std::string text;
  for (const std::string& line : expected) {
    text += line + "\n";
  }
  for (const bool ended : {true, false}) {
    const std::string whole = ended ? text : text.substr(0, text.size() - 1);
    for (const std::size_t piece : {1, 7, 65536, 1 << 20}) {
      Pieces source(whole, piece);
      LineReader lines(source, 100'000);
      std::size_t number = 0;
      std::size_t consumed = 0;
      while (const std::optional<std::string_view> line = lines.next()) {
        ASSERT_LT(number, expected.size());
        EXPECT_EQ(*line, expected[number]);
        EXPECT_EQ(lines.name(), "line " + std::to_string(++number));
        consumed = std::min(consumed + line->size() + 1, whole.size());
        EXPECT_EQ(lines.consumed(), consumed);
      }
      EXPECT_EQ(number, expected.size());
      EXPECT_EQ(consumed, whole.size());
      EXPECT_FALSE(lines.next());
    }
  }
}

TEST(Lines, LongerLinesAreRefused) {
  for (const std::string text : {"ab\nabcd\n", "ab\nabcd"}) {
    Pieces source(text, 3);
    LineReader lines(source, 3);
    EXPECT_EQ(lines.next(), "ab");
    EXPECT_ERROR(lines.next(), Errc::limit_exceeded, "line 2: more than 3 bytes");
  }
}

}  // namespace
}  // namespace stele

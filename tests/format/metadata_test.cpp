// Metadata: texts, numbers and booleans by name.

#include <limits>
#include <sstream>

#include "stele/metadata.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::error_of;

TEST(MetadataOfArchives, HoldsTextsNumbersAndBooleans) {
  const Metadata metadata{{"epoch", 3},
                          {"loss", 0.25},
                          {"name", "x"},
                          {"done", true},
                          {"offset", -7},
                          {"tiny", 0.1F},
                          {"least", std::numeric_limits<std::int64_t>::min()},
                          {"most", ~std::uint64_t{0}},
                          {"nan", std::numeric_limits<double>::quiet_NaN()},
                          {"bytes", std::string("\xff\0", 2)},
                          {"", ""}};
  for (const std::string& codec : test::codecs()) {
    const auto bytes = to_bytes(1, {.codec = codec, .metadata = metadata});
    Reader in{Bytes(bytes)};
    EXPECT_EQ(in.read<int>(), 1);
    const Metadata& back = in.metadata();
    EXPECT_EQ(back.at("epoch").integer(), 3);
    EXPECT_EQ(back.at("epoch").natural(), 3U);
    EXPECT_EQ(back.at("loss").real(), 0.25);
    EXPECT_EQ(back.at("epoch").real(), 3.0);
    EXPECT_EQ(back.at("name").text(), "x");
    EXPECT_EQ(back.at("name"), "x");
    EXPECT_TRUE(back.at("done").boolean());
    EXPECT_EQ(back.at("offset").integer(), -7);
    EXPECT_EQ(back.at("tiny").real(), double{0.1F});
    EXPECT_EQ(back.at("least"), metadata.at("least"));
    EXPECT_EQ(back.at("most").natural(), ~std::uint64_t{0});
    EXPECT_NE(back.at("nan").real(), back.at("nan").real());
    EXPECT_EQ(back.at("bytes"), metadata.at("bytes"));
    EXPECT_EQ(back.size(), metadata.size());
  }
  test::Folder folder;
  save(1, folder / "a", {.metadata = {{"epoch", 3}, {"loss", 0.25}, {"name", "x"}}});
  EXPECT_EQ(open(folder / "a").info().metadata, (Metadata{{"epoch", 3}, {"loss", 0.25}, {"name", "x"}}));
}

TEST(MetadataOfArchives, KindsAreDistinguished) {
  EXPECT_NE(MetadataValue(1), MetadataValue(1.0));
  EXPECT_NE(MetadataValue(1), MetadataValue(true));
  EXPECT_NE(MetadataValue(1), MetadataValue("1"));
  EXPECT_EQ(MetadataValue(std::int8_t{5}), MetadataValue(std::uint64_t{5}));
  EXPECT_EQ(error_of([] { MetadataValue("1").integer(); }).code(), Errc::type_mismatch);
  EXPECT_EQ(error_of([] { MetadataValue(1.0).integer(); }).code(), Errc::type_mismatch);
  EXPECT_EQ(error_of([] { MetadataValue(-1).natural(); }).code(), Errc::out_of_range);
  EXPECT_EQ(error_of([] { MetadataValue(~std::uint64_t{0}).integer(); }).code(), Errc::out_of_range);
  EXPECT_EQ(error_of([] { MetadataValue(true).real(); }).code(), Errc::type_mismatch);
  EXPECT_EQ(error_of([] { MetadataValue(1).text(); }).code(), Errc::type_mismatch);
}

TEST(MetadataOfArchives, PrintsAsJsonDoes) {
  EXPECT_EQ(MetadataValue("a").to_string(), "a");
  EXPECT_EQ(MetadataValue(3).to_string(), "3");
  EXPECT_EQ(MetadataValue(-3).to_string(), "-3");
  EXPECT_EQ(MetadataValue(3.0).to_string(), "3.0");
  EXPECT_EQ(MetadataValue(0.25).to_string(), "0.25");
  EXPECT_EQ(MetadataValue(1e300).to_string(), "1e+300");
  EXPECT_EQ(MetadataValue(true).to_string(), "true");
}

}  // namespace
}  // namespace stele

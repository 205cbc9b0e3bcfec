// Base64: the vectors of RFC 4648, what each reader accepts, and the offsets of errors.

#include "format/text/base64.hpp"

#include "support/test_support.hpp"

namespace stele {
namespace {

using test::error_of;

std::string text_of(Bytes bytes, Base64 alphabet = Base64::standard) {
  std::string text;
  append_base64(text, bytes, alphabet);
  return text;
}
std::vector<std::byte> any(std::string_view text) {
  std::vector<std::byte> bytes(7);
  decode_any_base64(text, bytes);
  return bytes;
}

struct Case {
  std::string_view text;
  std::size_t offset;
};

TEST(Base64Text, TheVectorsOfTheStandard) {
  const std::pair<std::string_view, std::string_view> vectors[] = {{"", ""},
                                                                   {"f", "Zg=="},
                                                                   {"fo", "Zm8="},
                                                                   {"foo", "Zm9v"},
                                                                   {"foob", "Zm9vYg=="},
                                                                   {"fooba", "Zm9vYmE="},
                                                                   {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, text] : vectors) {
    const Bytes bytes = std::as_bytes(std::span(plain));
    const std::vector<std::byte> expected(bytes.begin(), bytes.end());
    EXPECT_EQ(text_of(bytes), text);
    EXPECT_EQ(text_of(bytes, Base64::url), text.substr(0, text.find('=')));
    EXPECT_EQ(decode_base64(text), expected);
    EXPECT_EQ(any(text), expected);
  }
}

TEST(Base64Text, AllBytesInBothAlphabets) {
  std::mt19937 random(3);
  for (std::size_t size = 0; size < 200; ++size) {
    std::vector<std::byte> bytes(size);
    for (std::byte& b : bytes) {
      b = static_cast<std::byte>(random());
    }
    for (const Base64 alphabet : {Base64::standard, Base64::url}) {
      std::string text = text_of(bytes, alphabet);
      EXPECT_EQ(any(text), bytes);
      EXPECT_EQ(text.find_first_of(alphabet == Base64::standard ? "-_" : "+/="), std::string::npos);
      if (alphabet == Base64::standard) {
        EXPECT_EQ(decode_base64(text), bytes);
      }
      std::string broken = " \r\n";
      for (std::size_t i = 0; i < text.size(); ++i) {
        broken += text[i];
        broken += i % 5 == 4 ? "\r\n" : i % 7 == 6 ? "\t " : "";
      }
      EXPECT_EQ(any(broken), bytes);
      while (!text.empty() && text.back() == '=') {
        text.pop_back();
      }
      EXPECT_EQ(any(text), bytes);
    }
  }
}

TEST(Base64Text, AppendsAndKeepsWhatIsThere) {
  std::string text = "kept:";
  append_base64(text, std::as_bytes(std::span("ab", 2)));
  EXPECT_EQ(text, "kept:YWI=");
}

TEST(Base64Text, EveryOtherTextIsRefusedAtItsPlace) {
  const Case wrong[] = {
      {"Zm9v!mFy", 4},  {{"Zm9vY\0Fy", 8}, 5}, {"Zm9v.mFy", 4}, {"Zm9v\xc3\xa4mFy", 4},
      {"Zm9vY", 4},                                              // ends within a byte
      {"Zm9vYg=", 6},                                            // too little padding
      {"Zm9vYg===", 6},                                          // too much
      {"Zm9v=", 4},                                              // unexpected padding
      {"=", 0},         {"====", 0},           {"Zg==Zg==", 4},  // after the padding
      {"Zm9vYh==", 5},                                           // bits after the last byte
      {"Zm9vYmF=", 6},
  };
  for (const auto& [text, offset] : wrong) {
    for (const Error& error : {error_of([&] { decode_base64(text); }), error_of([&] { any(text); })}) {
      EXPECT_EQ(error.code(), Errc::malformed) << text;
      EXPECT_EQ(error.offset(), offset) << text;
    }
  }
}

TEST(Base64Text, TheStrictReaderTakesOneTextForEachSequenceOfBytes) {
  const Case wrong[] = {{"Zm9vYg", 6}, {"Zm9vYmE", 7}, {" Zm9v", 0}, {"Zm9v\n", 4},
                        {"Zg==\n", 4}, {"_w==", 0},    {"-w==", 0}};
  for (const auto& [text, offset] : wrong) {
    EXPECT_NO_THROW(any(text)) << text;
    const Error error = error_of([&] { decode_base64(text); });
    EXPECT_EQ(error.code(), Errc::malformed) << text;
    EXPECT_EQ(error.offset(), offset) << text;
  }
  // Of all texts of two characters and padding, those that are read are written the same way again.
  std::size_t read = 0;
  for (unsigned i = 0; i < 1U << 14; ++i) {
    const std::string text{static_cast<char>(i & 0x7f), static_cast<char>(i >> 7), '=', '='};
    try {
      EXPECT_EQ(text_of(decode_base64(text)), text);
      ++read;
    } catch (const Error&) {
    }
  }
  EXPECT_EQ(read, 256U);
}

}  // namespace
}  // namespace stele

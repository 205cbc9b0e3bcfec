// zlib, its markers and its tools.

#include <zlib.h>

#include "codec/formats/deflate.hpp"
#include "codec/formats/zlib/marker.hpp"
#include "codec/support.hpp"

namespace stele {
namespace {

class Zlib : public testing::Test {
 protected:
  const Codecs codecs_;
  const Codec& codec_ = *codecs_.find("zlib");
};

/// A stream of zlib's own, flushed each `piece` bytes.
Data stream_of(const Data& plain, int level, std::size_t piece = static_cast<std::size_t>(-1), int flush = Z_NO_FLUSH,
               int window_bits = MAX_WBITS) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, level, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
  Data out(plain.size() + plain.size() / 10 + 1000);
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  for (std::size_t at = 0; at < plain.size(); at += std::min(piece, plain.size() - at)) {
    stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(plain.data() + at));
    stream.avail_in = static_cast<uInt>(std::min(piece, plain.size() - at));
    EXPECT_EQ(deflate(&stream, flush), Z_OK);
  }
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(out.size() - stream.avail_out);
  deflateEnd(&stream);
  return out;
}

// ---- markers ----

TEST(ZlibMarker, SaysWhatItWasGiven) {
  std::mt19937 random(1);
  for (int i = 0; i < 1000; ++i) {
    const zlib::Marker marker{static_cast<std::uint32_t>(random()), static_cast<std::uint32_t>(random()),
                              static_cast<std::uint32_t>(random())};
    const auto bytes = zlib::make_marker(marker);
    const auto read = zlib::read_marker(bytes);
    ASSERT_TRUE(read);
    EXPECT_EQ(read->stored_size, marker.stored_size);
    EXPECT_EQ(read->plain_size, marker.plain_size);
    EXPECT_EQ(read->adler, marker.adler);
    for (std::size_t size = 0; size <= bytes.size(); ++size) {
      EXPECT_TRUE(zlib::begins_marker(Bytes(bytes).first(size)));
    }
  }
}

TEST(ZlibMarker, IsDeflateOfNoBytes) {
  for (std::uint32_t value : {0U, ~0U, 0x12345678U, 0xaaaaaaaaU}) {
    const auto bytes = zlib::make_marker({value, value, value});
    StreamInflate inflate;
    std::byte none{};
    const auto step = inflate(bytes, {&none, 1});
    ASSERT_TRUE(step) << inflate.error();
    EXPECT_EQ(step->used, bytes.size());
    EXPECT_EQ(step->made, 0U);
    EXPECT_TRUE(inflate.between_blocks());
    Data stream(bytes.begin(), bytes.end());
    stream.insert(stream.end(), {std::byte{3}, std::byte{0}});
    EXPECT_TRUE((*make_inflate(Inflate::Format::deflate))(stream, {}));
  }
}

TEST(ZlibMarker, KnowsEveryOtherBlock) {
  auto bytes = zlib::make_marker({1000, 5000, 77});
  std::size_t markers = 0;
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] ^= std::byte{1} << static_cast<int>(bit % 8);
    markers += zlib::read_marker(bytes).has_value();
    EXPECT_FALSE(zlib::begins_marker(bytes));
    bytes[bit / 8] ^= std::byte{1} << static_cast<int>(bit % 8);
  }
  EXPECT_EQ(markers, 0U);
}

// ---- files ----

TEST_F(Zlib, IsReadByOtherTools) {
  for (std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{5000}, mib + 5}) {
    for (const Data& plain : {text_data(size), random_data(size)}) {
      for (int level : {1, 2, 3, 6}) {
        const Data stored = compressed(codec_, plain, level);
        Data read(size + 1);
        uLongf read_size = read.size();
        EXPECT_EQ(uncompress(reinterpret_cast<Bytef*>(read.data()), &read_size,
                             reinterpret_cast<const Bytef*>(stored.data()), stored.size()),
                  Z_OK);
        read.resize(read_size);
        EXPECT_EQ(read, plain);
        const Folder folder;
        folder.put("plain", plain);
        folder.put("a.z", stored);
        if (has_tool("pigz")) {
          EXPECT_TRUE(folder.run("pigz -dzc < a.z | cmp - plain")) << level;
        }
        if (has_tool("python3")) {
          EXPECT_TRUE(
              folder.run("python3 -c \"import zlib; assert zlib.decompress(open('a.z', 'rb').read()) == "
                         "open('plain', 'rb').read()\""));
        }
      }
    }
  }
}

TEST_F(Zlib, ReadsOtherTools) {
  const Data plain = text_data(100'000) + random_data(20'000);
  for (int level : {0, 1, 6}) {
    for (int flush : {Z_NO_FLUSH, Z_SYNC_FLUSH, Z_FULL_FLUSH}) {
      const Data stored = stream_of(plain, level, 10'000, flush);
      expect_reads(codec_, stored, plain);
      expect_exact(codec_, stored, plain);
      EXPECT_FALSE(codec_.index(FileLike(stored)));
    }
  }
  for (int bits : {9, 12, 14}) {  // smaller windows
    const Data stored = stream_of(plain, 6, plain.size(), Z_NO_FLUSH, bits);
    expect_reads(codec_, stored, plain);
  }
  if (has_tool("pigz")) {
    for (const char* command : {"pigz -zc in", "pigz -zic in", "pigz -zc -1 in", "pigz -zc -11 -b 512 in"}) {
      SCOPED_TRACE(command);
      const Data stored = made_by(command, plain);
      expect_reads(codec_, stored, plain);
      expect_exact(codec_, stored, plain);
    }
  }
}

TEST_F(Zlib, ReadsTheSmallestStreams) {
  for (std::size_t size = 0; size < 70; ++size) {
    for (const Data& plain : {text_data(size), random_data(size)}) {
      for (int level : {0, 1, 6}) {
        const Data stored = stream_of(plain, level);
        EXPECT_EQ(plain_in_order(codec_, stored), plain);
        EXPECT_EQ(codecs_.by_magic(Bytes(stored).first(std::min<std::size_t>(stored.size(), 12))), &codec_);
        if (size > 0) {
          expect_exact(codec_, stored, plain);
        }
      }
    }
  }
}

TEST_F(Zlib, NeverTakesDamageOfOtherStreamsForData) {
  const Data plain = text_data(800) + random_data(100);
  Data stored = stream_of(plain, 6, 300, Z_FULL_FLUSH);
  for (std::size_t bit = 0; bit < stored.size() * 8; ++bit) {
    const auto flip = std::byte{1} << static_cast<int>(bit % 8);
    stored[bit / 8] ^= flip;
    try {
      EXPECT_EQ(plain_in_order(codec_, stored), plain) << bit;
    } catch (const Error&) {
    }
    stored[bit / 8] ^= flip;
  }
  for (std::size_t size = 0; size < stored.size(); ++size) {
    EXPECT_EQ(code_of([&] { plain_in_order(codec_, Bytes(stored).first(size)); }), Errc::truncated) << size;
  }
}

TEST_F(Zlib, RecognisesNoOtherFormat) {
  const Data plain = text_data(500);
  for (const auto& codec : codecs_.all()) {
    if (codec.get() != &codec_) {
      EXPECT_FALSE(codec_.recognises(compressed(*codec, plain))) << codec->name();
    }
  }
  for (std::string_view text : {"xml version", "hello, world", "8 or more bytes", "X-Header: yes", "HTTP/1.1 200 OK",
                                "x,y,z\n1,2,3\n", "(1, 2, 3, 4, 5)", "\x93NUMPY\1\0v\0{'d", "PK\3\4aaaaaaaa"}) {
    EXPECT_FALSE(codec_.recognises(bytes_of(text))) << text;
  }
  std::mt19937_64 random(5);
  std::size_t taken = 0;
  for (int i = 0; i < 100'000; ++i) {
    Data bytes(16);
    store_le<std::uint64_t>(bytes.data(), random());
    store_le<std::uint64_t>(bytes.data() + 8, random());
    taken += codec_.recognises(bytes);
  }
  EXPECT_LT(taken, 100U);  // of random bytes: one in two thousand or so
}

TEST_F(Zlib, RefusesADictionary) {
  z_stream stream{};
  ASSERT_EQ(deflateInit(&stream, 6), Z_OK);
  const Data dictionary = text_data(100);
  ASSERT_EQ(deflateSetDictionary(&stream, reinterpret_cast<const Bytef*>(dictionary.data()), 100), Z_OK);
  Data stored(1000);
  stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(dictionary.data()));
  stream.avail_in = 100;
  stream.next_out = reinterpret_cast<Bytef*>(stored.data());
  stream.avail_out = 1000;
  ASSERT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  stored.resize(stored.size() - stream.avail_out);
  deflateEnd(&stream);
  EXPECT_FALSE(codec_.recognises(stored));
  EXPECT_EQ(code_of([&] { plain_in_order(codec_, stored); }), Errc::unsupported);
}

TEST_F(Zlib, DoesNotTrustMarkers) {
  const Data plain = text_data(5000);
  const Data good = compressed(codec_, plain);
  const auto marker = zlib::read_marker(Bytes(good).subspan(2, zlib::marker_size));
  ASSERT_TRUE(marker);
  EXPECT_EQ(marker->plain_size, plain.size());
  EXPECT_EQ(2 + zlib::marker_size + marker->stored_size + 6, good.size());
  std::vector<zlib::Marker> lies;
  for (std::uint32_t size : {0U, 1U, marker->stored_size - 1, marker->stored_size + 1, marker->stored_size + 6, ~0U}) {
    lies.push_back({size, marker->plain_size, marker->adler});
  }
  for (std::uint32_t size : {0U, 1U, 4999U, 5001U, 60U << 20, ~0U}) {
    lies.push_back({marker->stored_size, size, marker->adler});
  }
  for (const zlib::Marker& lie : lies) {
    Data bad = good;
    const auto bytes = zlib::make_marker(lie);
    std::copy(bytes.begin(), bytes.end(), bad.begin() + 2);
    EXPECT_THROW(plain_in_order(codec_, bad), Error) << lie.stored_size << ' ' << lie.plain_size;
    EXPECT_THROW(plain_at_random(codec_, bad), Error) << lie.stored_size << ' ' << lie.plain_size;
  }
}

TEST_F(Zlib, HasNoIndexForOtherFiles) {
  const Data plain = text_data(5000);
  const Data ours = compressed(codec_, plain);
  const Data foreign = stream_of(plain, 6);
  EXPECT_TRUE(codec_.index(FileLike(ours)));
  EXPECT_TRUE(codec_.index(FileLike(ours + ours)));
  Data other_checksum = ours;
  other_checksum.back() ^= std::byte{1};
  for (const Data& stored : {Data{}, foreign, ours + foreign, foreign + ours, ours + Data(1), ours + Data(30),
                             ours + Data(ours.begin(), ours.end() - 1), other_checksum}) {
    EXPECT_FALSE(codec_.index(FileLike(stored)));
  }
}

TEST_F(Zlib, ReadsAPipeInLargePieces) {
  const Data plain = random_data(4 * mib);
  const Data stored = compressed(codec_, plain);
  class Counted final : public Source {
   public:
    explicit Counted(Source& source) : source_(source) {}
    std::size_t read(MutableBytes into) override {
      ++calls;
      return source_.read(into);
    }
    std::size_t calls = 0;

   private:
    Source& source_;
  };
  Pipe pipe(stored, 10 * mib);
  Counted counted(pipe);
  EXPECT_EQ(read_all(*codec_.in_order(counted, {})), plain);
  EXPECT_LT(counted.calls, 1000U);
}

TEST_F(Zlib, SaysWhereTheDamageIs) {
  const Data a = text_data(500);
  Data stored = compressed(codec_, a) + compressed(codec_, a);
  const std::size_t second = stored.size() / 2;
  stored.back() ^= std::byte{4};
  EXPECT_EQ(message_of([&] { plain_in_order(codec_, stored); }),
            "zlib stream at byte " + std::to_string(second) + ": its checksum is wrong");
  Data one = compressed(codec_, a);
  one[2 + zlib::marker_size + 9] ^= std::byte{0x10};
  EXPECT_EQ(message_of([&] { plain_at_random(codec_, one); }).find("zlib block at byte 2: "), 0U);
}

}  // namespace
}  // namespace stele

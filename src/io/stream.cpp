#include <algorithm>
#include <exception>
#include <istream>
#include <ostream>
#include <streambuf>
#include <string>

#include "stele/error.hpp"
#include "stele/io.hpp"

namespace stele {
namespace {

/// Runs `action`; turns exceptions of a stream or stream buffer into Error(io).
template <class Action>
auto translated(const char* verb, Action action) {
  try {
    return action();
  } catch (const Error&) {
    throw;
  } catch (const std::exception& e) {
    fail(Errc::io, "cannot " + std::string(verb) + " the stream: " + e.what());
  }
}

/// Sets state bits and suppresses the exception that exceptions() may ask for.
void mark(std::ios& stream, std::ios::iostate bits) noexcept {
  try {
    stream.setstate(bits);
  } catch (const std::exception&) {
    // the bits are set anyway
  }
}

class StreamSink final : public Sink {
 public:
  explicit StreamSink(std::ostream& stream) : stream_(stream) {}

  void write(Bytes bytes) override {
    translated("write", [&] {
      stream_.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    });
    require_good();
  }
  void close() override {
    require_good();
    translated("flush", [&] { stream_.flush(); });
    require_good();
  }

 private:
  void require_good() const {
    if (!stream_) {
      fail(Errc::io, "cannot write the stream: it is in a failed state");
    }
  }

  std::ostream& stream_;
};

/// Gives access to the buffered bytes of a stream buffer.
struct GetArea : std::streambuf {
  static Bytes of(const std::streambuf& buffer) {
    const char* const begin = (buffer.*&GetArea::gptr)();
    const char* const end = (buffer.*&GetArea::egptr)();
    return {reinterpret_cast<const std::byte*>(begin), static_cast<std::size_t>(end - begin)};
  }
  static bool in(const std::streambuf& buffer) { return (buffer.*&GetArea::eback)() != nullptr; }
};

class StreamSource final : public Source {
 public:
  explicit StreamSource(std::istream& stream) : stream_(stream) {}

  std::size_t read(MutableBytes into) override {
    if (into.empty()) {
      return 0;
    }
    if (stream_.fail() || stream_.rdbuf() == nullptr) {
      fail(Errc::io, "cannot read the stream: it is in a failed state");
    }
    std::streamsize got = 0;
    try {
      got = translated("read", [&] {
        return stream_.rdbuf()->sgetn(reinterpret_cast<char*>(into.data()), static_cast<std::streamsize>(into.size()));
      });
    } catch (const Error&) {
      mark(stream_, std::ios::badbit);
      throw;
    }
    if (got <= 0) {
      mark(stream_, std::ios::eofbit);
      return 0;
    }
    return static_cast<std::size_t>(got);
  }
  std::optional<std::size_t> peek(MutableBytes into) override {
    std::streambuf* const buffer = stream_.rdbuf();
    if (stream_.fail() || buffer == nullptr || !GetArea::in(*buffer)) {
      return std::nullopt;
    }
    if (into.empty()) {
      return 0;
    }
    const int first = translated("read", [&] { return buffer->sgetc(); });  // fills the buffer if it is empty
    if (first == std::streambuf::traits_type::eof()) {
      return 0;
    }
    Bytes ready = GetArea::of(*buffer);
    const std::byte one{static_cast<unsigned char>(first)};
    if (ready.empty()) {
      ready = {&one, 1};
    }
    ready = ready.first(std::min(ready.size(), into.size()));
    std::copy(ready.begin(), ready.end(), into.begin());
    return ready.size();
  }
  std::string name() const override { return "the stream"; }

 private:
  std::istream& stream_;
};

}  // namespace

std::unique_ptr<Sink> stream_sink(std::ostream& stream) { return std::make_unique<StreamSink>(stream); }
std::unique_ptr<Source> stream_source(std::istream& stream) { return std::make_unique<StreamSource>(stream); }

}  // namespace stele

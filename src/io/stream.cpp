#include <exception>
#include <istream>
#include <ostream>
#include <streambuf>
#include <string>

#include "stele/error.hpp"
#include "stele/io.hpp"

namespace stele {
namespace {

/// Runs `action`; what a stream buffer or a stream with exceptions() throws becomes an Error(io).
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

/// Sets state bits without the exception that exceptions() may ask for.
void mark(std::ios& stream, std::ios::iostate bits) noexcept {
  try {
    stream.setstate(bits);
  } catch (const std::exception&) {
    // the bits are set all the same
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
  std::string name() const override { return "the stream"; }

 private:
  std::istream& stream_;
};

}  // namespace

std::unique_ptr<Sink> stream_sink(std::ostream& stream) { return std::make_unique<StreamSink>(stream); }
std::unique_ptr<Source> stream_source(std::istream& stream) { return std::make_unique<StreamSource>(stream); }

}  // namespace stele

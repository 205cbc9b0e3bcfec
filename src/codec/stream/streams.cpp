#include "codec/stream/streams.hpp"

#include <array>
#include <utility>

#include "base/bytes.hpp"

namespace stele {

StreamsSource::StreamsSource(Source& stored, std::string_view format, std::string_view unit, bool whole,
                             std::size_t piece)
    : in_(stored, piece, whole), format_(format), unit_(unit) {}

std::size_t StreamsSource::read(MutableBytes into) {
  State state = enter();
  std::size_t count = 0;
  while (!into.empty() && count == 0 && state != State::ended) {
    if (state == State::between) {
      stream_begins();
      state = begin() ? State::inside : State::ended;
    } else {
      count = decode(into);
      state = count > 0 ? State::inside : State::between;
    }
  }
  state_ = state;
  return count;
}

std::size_t StreamsSource::read_rest(MutableBytes into) {
  State state = enter();
  std::size_t count = 0;
  if (at_start()) {
    stream_begins();
    state = begin() ? State::inside : State::ended;
  }
  do {
    if (state == State::inside) {
      count = decode_rest(into);
      state = count > 0 ? State::inside : State::between;
    }
    if (count == 0 && settle()) {
      state = State::inside;
    }
  } while (count == 0 && state == State::inside);
  state_ = state;
  return count;
}

void StreamsSource::finish() {
  std::byte extra{};
  if (read_rest({&extra, 1}) > 0) {
    state_ = State::failed;
    failed(Errc::damaged, "data after the end of the archive");
  }
}

bool StreamsSource::settle() {
  in_.settle(in_.position());
  return false;
}

StreamsSource::State StreamsSource::enter() {
  if (state_ == State::failed) {
    failed(Errc::damaged, "cannot be read on after an error");
  }
  return std::exchange(state_, State::failed);
}

void StreamsSource::need(MutableBytes into) {
  if (in_.take(into) < into.size()) {
    ended_early();
  }
}

std::uint32_t StreamsSource::need_u32() {
  const auto value = take_u32();
  if (!value) {
    ended_early();
  }
  return *value;
}

std::optional<std::uint32_t> StreamsSource::take_u32() {
  std::array<std::byte, 4> bytes{};
  const std::size_t count = in_.take(bytes);
  if (count > 0 && count < bytes.size()) {
    ended_early();
  }
  return count > 0 ? std::optional(load_le<std::uint32_t>(bytes.data())) : std::nullopt;
}

void StreamsSource::failed(Errc code, const std::string& message) const {
  fail(code,
       std::string(format_) + " " + std::string(unit_) + " at byte " + std::to_string(stream_offset_) + ": " + message);
}

void StreamsSource::not_a_stream() const {
  failed(Errc::damaged, stream_offset_ == 0
                            ? "not " + std::string(format_)
                            : "bytes that are not " + std::string(format_) + " follow the last " + std::string(unit_));
}

}  // namespace stele

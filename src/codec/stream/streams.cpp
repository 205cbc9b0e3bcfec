#include "codec/stream/streams.hpp"

#include <utility>

namespace stele {

StreamsSource::StreamsSource(Source& stored, std::string_view name, bool whole)
    : in_(stored, std::size_t{64} << 10, whole), name_(name) {}

std::size_t StreamsSource::read(MutableBytes into) {
  State state = enter();
  std::size_t done = 0;
  while (done < into.size() && state != State::ended) {
    if (state == State::between) {
      stream_begins();
      state = begin() ? State::inside : State::ended;
      continue;
    }
    const std::size_t count = decode(into.subspan(done));
    done += count;
    if (count == 0) {
      state = State::between;
      if (done > 0) {
        break;  // what follows may be another's
      }
    }
  }
  state_ = state;
  return done;
}

void StreamsSource::finish() {
  State state = enter();
  if (state == State::inside) {
    std::byte extra{};
    if (decode({&extra, 1}) > 0) {
      failed(Errc::damaged, "data behind the end of the archive");
    }
    state = State::between;
  }
  in_.settle(in_.position());
  state_ = state;
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

void StreamsSource::failed(Errc code, const std::string& message) const {
  fail(code, std::string(name_) + " stream at byte " + std::to_string(stream_offset_) + ": " + message);
}

void StreamsSource::not_a_stream() const {
  failed(Errc::damaged, stream_offset_ == 0 ? "not " + std::string(name_)
                                            : "bytes that are not " + std::string(name_) + " follow the last one");
}

}  // namespace stele

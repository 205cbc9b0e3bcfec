#include "interop/pickle/pickle.hpp"

#include "interop/pickle/joblib/legacy.hpp"
#include "interop/pickle/read/machine.hpp"
#include "stele/error.hpp"

namespace stele {

struct PickleReader::State {
  State(const Neighbour& file, PickleOptions given)
      : options(std::move(given)), stored(file.source, file.options.limits.allocation), whole(file) {
    constexpr std::size_t magic = 4;
    if (pickle::is_zfile(stored.peek(magic))) {
      plain = pickle::zfile_source(stored_source, file.options);
      inner.emplace(*plain, file.options.limits.allocation);
      parts.emplace(Neighbour{*plain, nullptr, file.path, file.options});
    }
  }

  pickle::Window& window() noexcept { return inner ? *inner : stored; }

  PickleOptions options;
  pickle::Window stored;
  pickle::WindowSource stored_source{stored};
  const Neighbour& whole;
  // Of a Z-file, what it holds.
  std::unique_ptr<Source> plain;
  std::optional<pickle::Window> inner;
  std::optional<Neighbour> parts;
};

PickleReader::PickleReader(const Neighbour& file, PickleOptions options)
    : state_(std::make_unique<State>(file, std::move(options))) {}

PickleReader::~PickleReader() = default;

bool PickleReader::at_end() { return state_->window().at_end(); }

Value PickleReader::next() {
  State& state = *state_;
  pickle::Machine machine({state.window(), state.parts ? *state.parts : state.whole, state.options});
  return machine.run();
}

std::uint64_t PickleReader::position() const noexcept { return state_->window().position(); }

Value read_pickle(const Neighbour& file, const PickleOptions& options) {
  PickleReader reader(file, options);
  Value value = reader.next();
  if (!reader.at_end()) {
    fail(Errc::malformed, "it goes on after the pickle", {.offset = reader.position()});
  }
  return value;
}

}  // namespace stele

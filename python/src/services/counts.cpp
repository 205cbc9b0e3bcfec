// TokenCounts.

#include "bindings.hpp"
#include "services/guarded.hpp"
#include "services/keys.hpp"
#include "stele/error.hpp"
#include "stele/token_counts.hpp"

namespace stele::python {
namespace {

using Held = Guarded<TokenCounts>;
using Pairs = std::vector<std::pair<std::string, std::uint64_t>>;

nb::list pair_list(const Pairs& pairs) {
  nb::list made;
  for (const auto& [token, count] : pairs) {
    made.append(nb::make_tuple(text_or_bytes(token), count));
  }
  return made;
}

void add_all(TokenCounts& counts, const std::vector<std::string_view>& tokens,
             const std::vector<std::uint64_t>& times) {
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    counts.add(tokens[i], times.empty() ? 1 : times[i]);
  }
}

}  // namespace

void bind_counts(nb::module_& module) {
  nb::class_<Held> bound(module, "TokenCounts");
  bind_value(bound);
  bound.def_static("make", [](std::size_t longest_lane) { return new Held(longest_lane); });
  bound.def("add", [](Held& self, nb::handle token, std::uint64_t times) {
    const std::string_view text = token_of(token);
    self.change([&](TokenCounts& counts) { counts.add(text, times); });
  });
  bound.def(
      "update",
      [](Held& self, nb::handle given, nb::handle times) {
        const KeyItems items(given);
        const std::vector<std::string_view> tokens = items.tokens();
        const std::vector<std::uint64_t> each = counts_of(times, tokens.size());
        self.change_released([&](TokenCounts& counts) { add_all(counts, tokens, each); });
      },
      nb::arg("tokens"), nb::arg("times").none());
  bound.def("count", [](const Held& self, nb::handle token) {
    const std::string_view text = token_of(token);
    return self.read([&](const TokenCounts& counts) { return counts.count(text); });
  });
  bound.def("count_many", [](const Held& self, nb::handle given) {
    const KeyItems items(given);
    const std::vector<std::string_view> tokens = items.tokens();
    nb::object made = empty_array(DType::Kind::uint64, items.shape());
    const std::span<std::uint64_t> out = elements<std::uint64_t>(made);
    self.read_released([&](const TokenCounts& counts) { counts.count_many(tokens, out); });
    return made;
  });
  bound.def("top", [](const Held& self, std::size_t k) {
    return pair_list(self.read_released([&](const TokenCounts& counts) { return counts.top(k); }));
  });
  // A copy, as the table may change meanwhile.
  bound.def("items", [](const Held& self, bool sorted) {
    return pair_list(self.read_released([&](const TokenCounts& counts) {
      Pairs all;
      all.reserve(counts.size());
      const auto take = [&](std::string_view token, std::uint64_t count) { all.emplace_back(token, count); };
      sorted ? counts.for_each_sorted(take) : counts.for_each(take);
      return all;
    }));
  });
  bound.def("compact", [](Held& self) { self.change_released([](TokenCounts& counts) { counts.compact(); }); });
  bound.def("remove_below", [](Held& self, std::uint64_t least) {
    return self.change_released([&](TokenCounts& counts) { return counts.remove_below(least); });
  });
  bind_number(bound, "size", &TokenCounts::size);
  bind_number(bound, "total", &TokenCounts::total);
}

}  // namespace stele::python

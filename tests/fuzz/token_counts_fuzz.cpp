// Tables of tokens. The first byte of the input chooses the meaning of the rest: operations, which are applied to a
// table and to a std::map, or the root of an archive with valid checksums. A table that loads is used in every way; if
// verify() accepts it, it is one that the library could have written.

#include <algorithm>
#include <map>

#include "fuzz.hpp"
#include "mapped_file.hpp"
#include "stele/archive.hpp"
#include "stele/token_counts.hpp"
#include "support/hand_made.hpp"

namespace stele {
namespace {

using fuzz::require;
using fuzz::succeeds;
using Model = std::map<std::string, std::uint64_t>;

const LoadOptions limited{.limits = {.depth = 100, .allocation = std::uint64_t{64} << 20}};

Model content(const TokenCounts& table) {
  Model all;
  table.for_each([&](std::string_view token, std::uint64_t count) { all[std::string(token)] += count; });
  return all;
}

void require_equal(const TokenCounts& table, const Model& model) {
  require(table.size() == model.size());
  std::vector<std::string_view> tokens;
  std::uint64_t total = 0;
  for (const auto& [token, count] : model) {
    require(table.count(token) == count);
    tokens.push_back(token);
    total += count;
  }
  require(table.total() == total);
  std::vector<std::uint64_t> counts(tokens.size());
  table.count_many(tokens, counts);
  auto at = model.begin();
  table.for_each_sorted([&](std::string_view token, std::uint64_t count) {
    require(at != model.end() && at->first == token && at->second == count);
    ++at;
  });
  require(at == model.end() && content(table) == model);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    require(counts[i] == model.find(std::string(tokens[i]))->second);
  }
  table.verify();
}

/// What may be done to any table that loads, sorted or not.
void use(TokenCounts& table) {
  const test::Data before = to_bytes(table);
  std::vector<std::string> tokens{
      "", "a", "zz", "abc", std::string(32, 'a'), std::string(33, 'a'), std::string(300, '\xff')};
  table.for_each([&](std::string_view token, std::uint64_t) {
    if (tokens.size() < 60) {
      tokens.emplace_back(token);
    }
  });
  const std::vector<std::string_view> views(tokens.begin(), tokens.end());
  std::vector<std::uint64_t> counts(views.size());
  table.count_many(views, counts);
  for (std::size_t i = 0; i < views.size(); ++i) {
    require(table.count(views[i]) == counts[i]);
  }
  (void)table.top(3);
  table.for_each_sorted([](std::string_view, std::uint64_t) {});
  (void)table.byte_count();
  const bool sound = succeeds([&] { table.verify(); });
  if (sound) {
    require_equal(table, content(table));
  }

  TokenCounts copy = table;
  for (std::size_t i = 0; i < views.size(); ++i) {
    succeeds([&] { copy.add(views[i], i < 20 ? 1 : std::uint64_t{1} << i); });
  }
  copy.compact();
  (void)copy.count("a");
  succeeds([&] { copy.merge(table); });
  succeeds([&] { copy.merge(copy); });
  (void)copy.remove_below(2);
  (void)copy.top(2);
  if (sound) {
    require_equal(copy, content(copy));
  }
  require(to_bytes(table) == before);
}

void load_table(Bytes archive, const fuzz::MappedFile& file) {
  TokenCounts table;
  if (!succeeds([&] { table = from_bytes<TokenCounts>(archive, limited); })) {
    return;
  }
  const test::Data saved = to_bytes(table);
  use(table);
  if (saved.size() < fuzz::least_mapped) {
    return;
  }
  for (const MapMode mode : {MapMode::read_only, MapMode::copy_on_write, MapMode::read_write}) {
    TokenCounts mapped = load<TokenCounts>(file.write(saved), {.map = mode});
    TokenCounts other = load<TokenCounts>(file.write(saved), {.map = mode});
    use(mapped);
    succeeds([&] { mapped.add("a", 5); });
    mapped.compact();
    require(to_bytes(other) == saved);
  }
}

class Operations {
 public:
  explicit Operations(Bytes input) : input_(input), table_(byte() % 40), model_() {}

  void run(const fuzz::MappedFile& file) {
    TokenCounts other(table_.longest_lane() / 2);
    Model other_model;
    for (int steps = 0; !input_.empty() && steps < 250; ++steps) {
      switch (byte() % 16) {
        case 0:
          table_.compact();
          break;
        case 1: {
          const std::uint64_t least = number();
          const std::uint64_t removed = table_.remove_below(least);
          require(removed == std::erase_if(model_, [&](const auto& entry) { return entry.second < least; }));
          break;
        }
        case 2: {
          std::uint64_t total = 0;
          for (const auto& [token, count] : other_model) {
            total += count;
          }
          const bool fits = total <= ~std::uint64_t{0} - table_.total();
          require(succeeds([&] { table_.merge(other); }) == fits);
          if (fits) {
            for (const auto& [token, count] : other_model) {
              model_[token] += count;
            }
          }
          break;
        }
        case 3:
          other = table_;
          other_model = model_;
          break;
        case 4:
          table_ = from_bytes<TokenCounts>(to_bytes(table_));
          break;
        case 5:
          table_ = TokenCounts();
          table_ = load<TokenCounts>(file.write(to_bytes(other)), {.map = MapMode::read_only});
          model_ = other_model;
          require_equal(table_, model_);
          table_ = from_bytes<TokenCounts>(to_bytes(table_));
          break;
        case 6:
          require_equal(table_, model_);
          break;
        case 7:
          for (unsigned i = 0; i < 50; ++i) {
            add("t" + std::to_string(i * 7919 % 1000), 1 + i % 3);
          }
          break;
        default:
          add(token(), number());
      }
    }
    require_equal(table_, model_);
    require_equal(other, other_model);
  }

 private:
  unsigned byte() {
    if (input_.empty()) {
      return 0;
    }
    const auto first = std::to_integer<unsigned>(input_.front());
    input_ = input_.subspan(1);
    return first;
  }
  std::uint64_t number() {
    const unsigned form = byte();
    return form < 200 ? form % 5 : (std::uint64_t{1} << (form % 64)) + byte() % 3 - 1;
  }
  std::string token() {
    std::string made(byte() % 70, 'a');
    if (!made.empty()) {
      made.back() = static_cast<char>(byte());
      made.front() = static_cast<char>('a' + byte() % 4);
    }
    return made;
  }
  void add(const std::string& token, std::uint64_t n) {
    const bool fits = n <= ~std::uint64_t{0} - table_.total();
    require(succeeds([&] { table_.add(token, n); }) == fits);
    if (fits && n != 0) {
      model_[token] += n;
    }
  }

  Bytes input_;
  TokenCounts table_;
  Model model_;
};

}  // namespace
}  // namespace stele

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stele;
  static const fuzz::MappedFile file;
  const Bytes input = std::as_bytes(std::span(data, size));
  if (!input.empty() && input.front() == std::byte{'o'}) {
    Operations(input.subspan(1)).run(file);
  } else {
    load_table(test::wrap(input.subspan(input.empty() ? 0 : 1)), file);
  }
  return 0;
}

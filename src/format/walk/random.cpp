// The compiled parts of stele/random.hpp.

#include "stele/random.hpp"

#include <locale>
#include <sstream>

namespace stele::walk {

void write_engine(OutVisitor& out, PrintEngine print, const void* engine) {
  std::stringstream text;
  text.imbue(std::locale::classic());
  print(text, engine);
  std::vector<std::uint64_t> numbers;
  text >> std::dec;
  for (std::uint64_t number = 0; text >> number;) {
    numbers.push_back(number);
  }
  out.array(ArrayView(DType::Kind::uint64, numbers.data(), numbers.size()));
}

std::vector<std::uint64_t> read_engine(InVisitor& in, std::size_t count) {
  std::vector<std::uint64_t> numbers;
  stele::read(in, numbers);
  if (numbers.size() != count) {
    in.error(Errc::type_mismatch, "the state of this engine has " + std::to_string(count) + " numbers, found " +
                                      std::to_string(numbers.size()));
  }
  return numbers;
}

void set_engine(InVisitor& in, const std::vector<std::uint64_t>& numbers, bool valid, ParseEngine parse, void* engine) {
  if (!valid) {
    in.error(Errc::damaged, "the numbers are no state of this random number engine");
  }
  std::string text;
  for (const std::uint64_t number : numbers) {
    text += (text.empty() ? "" : " ") + std::to_string(number);
  }
  std::istringstream from(text);
  from.imbue(std::locale::classic());
  parse(from, engine);
  if (!from) {
    in.error(Errc::damaged, "the numbers are no state of this random number engine");
  }
}

}  // namespace stele::walk

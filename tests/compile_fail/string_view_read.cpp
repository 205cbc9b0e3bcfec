// expect: stele: a string view has no owner; read into a std::string
#include <string_view>

#include "stele/stele.hpp"

namespace {

struct Label {
  std::string_view text;
  int number = 0;
};

}  // namespace

int main() { return stele::load<Label>("label.stele").number; }

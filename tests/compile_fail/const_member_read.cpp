// expect: stele: cannot read into a const object
#include <string>

#include "stele/stele.hpp"

namespace {

struct Label {
  const int number = 0;
  std::string text;
};

}  // namespace

int main() { return stele::load<Label>("label.stele").number; }

// expect: stele: a reference, volatile or bit-field member cannot be reflected; hold the value itself, or give the type
#include <string>

#include "stele/stele.hpp"

namespace {

struct Label {
  const std::string& text;
  int number = 0;
};

}  // namespace

int main() {
  const std::string text;
  stele::save(Label{text, 1}, "label.stele");
}

// expect: stele: the elements of an Array are numbers or records of numbers
#include <string>

#include "stele/stele.hpp"

namespace {

struct Names {
  stele::Array<std::string> names;
};

}  // namespace

int main() { stele::save(Names(), "names.stele"); }

// expect: stele: this class of the standard library has no content that could be stored
#include <functional>

#include "stele/stele.hpp"

namespace {

struct Task {
  std::function<void()> run;
};

}  // namespace

int main() { stele::save(Task(), "task.stele"); }

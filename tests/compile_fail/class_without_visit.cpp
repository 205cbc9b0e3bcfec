// expect: stele: this type is no aggregate; give it `static void visit(auto& v, auto& self)`
#include <vector>

#include "stele/stele.hpp"

namespace {

class Secret {
 public:
  Secret() = default;
  int value() const { return value_; }

 private:
  int value_ = 0;
};

}  // namespace

int main() { stele::save(std::vector<Secret>(3), "secret.stele"); }

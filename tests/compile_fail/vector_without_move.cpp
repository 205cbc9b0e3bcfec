// expect: stele: the items of a growing vector must be movable or copyable (a destructor takes the move constructor
// away); use a std::deque or std::list, or std::unique_ptr
#include <memory>
#include <vector>

#include "stele/stele.hpp"

class Holder {
 public:
  Holder() = default;
  ~Holder() {}
  static void visit(auto& v, auto& self) { v("value", self.value_); }

 private:
  std::unique_ptr<int> value_;
};

int main() { stele::from_bytes<std::vector<Holder>>({}); }

// expect: stele: load<T>() returns a T, which can be neither moved nor copied (a destructor takes the move constructor
// away); use read_into()
#include <memory>

#include "stele/stele.hpp"

class Holder {
 public:
  Holder() = default;
  ~Holder() {}
  static void visit(auto& v, auto& self) { v("value", self.value_); }

 private:
  std::unique_ptr<int> value_;
};

int main() { stele::load<Holder>("holder.stele"); }

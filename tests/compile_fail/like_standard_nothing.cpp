// expect: stele: is_like_standard is set for a class without the interface of a standard type; a container has
// value_type, begin(), end() and size()
#include <deque>

#include "stele/stele.hpp"

class Ring {
 public:
  auto begin() const { return items_.begin(); }
  auto end() const { return items_.end(); }

 private:
  std::deque<int> items_;
};
template <>
inline constexpr bool stele::is_like_standard<Ring> = true;

int main() { stele::to_bytes(Ring()); }

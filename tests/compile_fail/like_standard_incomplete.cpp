// expect: stele: to be loaded, a container has value_type, begin(), end(), size(), clear() and emplace_back()
#include <deque>

#include "stele/stele.hpp"

class Ring {
 public:
  using value_type = int;
  auto begin() const { return items_.begin(); }
  auto end() const { return items_.end(); }
  std::size_t size() const { return items_.size(); }

 private:
  std::deque<int> items_;
};
template <>
inline constexpr bool stele::is_like_standard<Ring> = true;

int main() {
  stele::to_bytes(Ring());  // can be saved
  stele::from_bytes<Ring>({});
}

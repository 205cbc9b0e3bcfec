// expect: stele: to be loaded, a map has key_type, mapped_type, value_type, begin(), end(), size(), clear() and
// emplace_hint()
#include <map>

#include "stele/stele.hpp"

class Index {
 public:
  using key_type = int;
  using mapped_type = int;
  using value_type = std::pair<const int, int>;
  auto begin() const { return items_.begin(); }
  auto end() const { return items_.end(); }
  std::size_t size() const { return items_.size(); }

 private:
  std::map<int, int> items_;
};
template <>
inline constexpr bool stele::is_like_standard<Index> = true;

int main() { stele::from_bytes<Index>({}); }

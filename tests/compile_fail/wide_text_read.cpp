// expect: stele: text is stored as UTF-8; convert wide text to std::string or std::u8string, or store its units as
// numbers
#include <map>
#include <string>

#include "stele/stele.hpp"

int main() { stele::from_bytes<std::map<std::u16string, int>>({}); }

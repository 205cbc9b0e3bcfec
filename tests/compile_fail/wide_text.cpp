// expect: stele: text is stored as UTF-8; convert wide text to std::string or std::u8string, or store its units as
// numbers
#include <string>

#include "stele/stele.hpp"

int main() { stele::to_bytes(std::wstring(L"abc")); }

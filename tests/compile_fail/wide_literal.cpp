// expect: stele: text is stored as UTF-8; use a literal "..." or u8"...", std::string or std::u8string
#include "stele/stele.hpp"

int main() { stele::hash(U"abc"); }

// expect: stele: a pointer to char has neither an owner nor a length; use std::string, or std::string_view to write
// only
#include <map>

#include "stele/stele.hpp"

int main() { stele::to_bytes(std::pair("key", 3)); }

// expect: stele: random number engines need #include <stele/random.hpp>
#include <random>

#include "stele/stele.hpp"

int main() { stele::save(std::mt19937(1), "engine.stele"); }

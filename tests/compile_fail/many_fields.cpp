// expect: stele: an aggregate of more than 32 fields; give it a static visit(v, self)
#include <string>

#include "stele/stele.hpp"

namespace {

struct Wide {
  std::string field_1;
  std::string field_2;
  std::string field_3;
  std::string field_4;
  std::string field_5;
  std::string field_6;
  std::string field_7;
  std::string field_8;
  std::string field_9;
  std::string field_10;
  std::string field_11;
  std::string field_12;
  std::string field_13;
  std::string field_14;
  std::string field_15;
  std::string field_16;
  std::string field_17;
  std::string field_18;
  std::string field_19;
  std::string field_20;
  std::string field_21;
  std::string field_22;
  std::string field_23;
  std::string field_24;
  std::string field_25;
  std::string field_26;
  std::string field_27;
  std::string field_28;
  std::string field_29;
  std::string field_30;
  std::string field_31;
  std::string field_32;
  std::string field_33;
};

}  // namespace

int main() { stele::save(Wide(), "wide.stele"); }

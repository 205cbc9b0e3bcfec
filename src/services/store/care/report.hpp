#pragma once
// Reports problems of a store.

#include <string>

#include "stele/store/options.hpp"

namespace stele {

inline void note_problem(StoreReport& report, std::string problem) {
  constexpr std::size_t most = 1000;
  ++report.problem_count;
  if (report.problems.size() < most) {
    report.problems.push_back(std::move(problem));
  }
}

}  // namespace stele

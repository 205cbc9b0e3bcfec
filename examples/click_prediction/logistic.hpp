#pragma once
// Logistic regression by stochastic gradient descent with AdaGrad's steps (J. Duchi, E. Hazan and Y. Singer, Adaptive
// subgradient methods for online learning and stochastic optimization, 2011), and the area under the ROC curve.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

namespace clicks {

struct Input {
  std::uint32_t index;
  float value;
};

class LogisticRegression {
 public:
  explicit LogisticRegression(std::uint32_t inputs, float step = 0.1F)
      : step_(step), weights_(inputs), squares_(inputs, 1e-6F) {}

  float score(std::span<const Input> inputs) const {
    float sum = 0;
    for (const Input& input : inputs) {
      sum += weights_[input.index] * input.value;
    }
    return sum;
  }
  void learn(std::span<const Input> inputs, bool clicked) {
    const float error = 1 / (1 + std::exp(-score(inputs))) - (clicked ? 1.0F : 0.0F);
    for (const Input& input : inputs) {
      const float gradient = error * input.value;
      float& squares = squares_[input.index];
      squares += gradient * gradient;
      weights_[input.index] -= step_ * gradient / std::sqrt(squares);
    }
  }

 private:
  float step_;
  std::vector<float> weights_;
  std::vector<float> squares_;  // of all gradients, summed
};

struct Scored {
  float score;
  bool clicked;
};

/// The chance that a clicked example is scored above one not clicked; ties count half.
inline double roc_auc(std::vector<Scored> scored) {
  std::sort(scored.begin(), scored.end(), [](const Scored& a, const Scored& b) { return a.score < b.score; });
  double clicked = 0;
  double not_clicked = 0;
  double wins = 0;
  for (std::size_t first = 0; first < scored.size();) {
    double here[2] = {0, 0};
    std::size_t end = first;
    for (; end < scored.size() && scored[end].score == scored[first].score; ++end) {
      here[scored[end].clicked ? 1 : 0] += 1;
    }
    wins += here[1] * (not_clicked + here[0] / 2);
    not_clicked += here[0];
    clicked += here[1];
    first = end;
  }
  return wins / (clicked * not_clicked);
}

}  // namespace clicks

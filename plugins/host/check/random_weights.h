// Weights of no model in particular, for checks.
#pragma once

#include <map>
#include <random>
#include <string>
#include <vector>

#include "core/model.h"

namespace gist {

/// Values that make attention and every projection matter, unlike those that training starts from;
/// those of equal declarations are equal.
class RandomWeights {
 public:
  explicit RandomWeights(const ModelSpec& spec);
  /// Refers to this object.
  WeightSource source() const;

 private:
  struct Values {
    Shape shape;
    std::vector<float> values;
  };

  std::vector<float> draw(const WeightSpec& weight);

  std::mt19937 random_{20230417};
  std::map<std::string, Values> weights_;
};

}  // namespace gist

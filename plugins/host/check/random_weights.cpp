#include "plugins/host/check/random_weights.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace gist {

RandomWeights::RandomWeights(const ModelSpec& spec) {
  for (const WeightSpec& weight : spec.weights) {
    if (!weight.tied_to.empty()) continue;
    for (int layer = 0; layer < copies_of(weight, spec); ++layer) {
      weights_[weight_name(weight, layer)] = {stored_shape(weight.shape, weight.stored_transposed),
                                              draw(weight)};
    }
  }
}

WeightSource RandomWeights::source() const {
  WeightSource result;
  result.find = [this](const std::string& name) -> std::optional<HostTensor> {
    const auto found = weights_.find(name);
    if (found == weights_.end()) return std::nullopt;
    return HostTensor{reinterpret_cast<const std::byte*>(found->second.values.data()), Dtype::f32,
                      found->second.shape};
  };
  result.done = [](const std::string&) {};
  result.description = "the random weights";
  return result;
}

std::vector<float> RandomWeights::draw(const WeightSpec& weight) {
  const bool ones = weight.init.kind == Initializer::Kind::constant && weight.init.value != 0;
  float std = 0.1F;
  if (weight.use == WeightUse::matrix) std = 1 / std::sqrt(static_cast<float>(weight.shape[1]));
  if (weight.use == WeightUse::table) std = 1;
  std::normal_distribution<float> normal(ones ? 1.0F : 0.0F, std);
  std::vector<float> values(static_cast<std::size_t>(weight.shape.elements()));
  std::generate(values.begin(), values.end(), [&] { return normal(random_); });
  return values;
}

}  // namespace gist

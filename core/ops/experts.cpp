// A mixture of experts: rows choose experts, are computed by these alone, and mixed again.
#include <vector>

#include "core/ops/ops.h"
#include "core/tape.h"
#include "kernels/error.h"

namespace gist {

Routing top_k_routing(Pass& pass, const Tensor& logits, int k, bool normalised) {
  const std::int64_t n = logits.shape[0], experts = logits.shape[1];
  Workspace& memory = pass.layer_memory();
  Routing routing;
  routing.choice.experts = memory.allocate({n, k}, Dtype::i32);
  routing.choice.places = memory.allocate({n, k}, Dtype::i32);
  routing.choice.rows = memory.allocate({n * k}, Dtype::i32);
  routing.choice.ends = memory.allocate({experts}, Dtype::i32);
  routing.weights = memory.allocate({n, k});
  pass.backend().run(ops::ChooseExperts{.logits = logits,
                                        .normalised = normalised,
                                        .routing = routing.choice,
                                        .weights = routing.weights});
  if (pass.tape() != nullptr) {
    pass.tape()->record([logits, normalised, routing](Gradients& gradients) {
      const Tensor dweights = gradients.of(routing.weights);
      if (dweights.data == nullptr) return;
      const Tensor dlogits = gradients.allocate(logits.shape);
      gradients.backend().run(ops::ChooseExpertsBackward{.logits = logits,
                                                         .normalised = normalised,
                                                         .experts = routing.choice.experts,
                                                         .weights = routing.weights,
                                                         .dweights = dweights,
                                                         .dlogits = dlogits});
      gradients.give(logits, dlogits);
    });
  }
  return routing;
}

Tensor rows_by_expert(Pass& pass, const Tensor& x, const Routing& routing) {
  const ExpertRouting& choice = routing.choice;
  const Tensor y = pass.layer_memory().allocate({choice.rows.shape[0], x.shape[1]});
  pass.backend().run(ops::GatherRows{.x = x, .rows = choice.rows, .y = y});
  if (pass.tape() != nullptr) {
    pass.tape()->record([x, y, places = choice.places](Gradients& gradients) {
      const Tensor dy = gradients.of(y);
      if (dy.data == nullptr) return;
      const Tensor dx = gradients.allocate(x.shape);
      gradients.backend().run(ops::MixRows{.x = dy, .places = places, .y = dx});
      gradients.give(x, dx);
    });
  }
  return y;
}

Tensor expert_linear(Pass& pass, const Tensor& x, const Routing& routing,
                     std::span<const std::int32_t> weights) {
  const Tensor ends = routing.choice.ends;
  std::vector<const Matrix*> matrices;
  std::vector<Tensor> values, gradients_of_values;
  for (const std::int32_t index : weights) {
    const Weight& weight = pass.model().weight(index, pass.layer());
    if (!weight.matrix) {
      fail(ErrorKind::internal, "expert_linear: weight {} is not declared as a matrix", index);
    }
    matrices.push_back(weight.matrix.get());
    values.push_back(weight.tensor);
    gradients_of_values.push_back(weight.gradient);
  }
  const Tensor y = pass.layer_memory().allocate({x.shape[0], matrices.at(0)->n()});
  pass.backend().run(ops::ExpertGemm{.x = x, .ends = ends, .w = matrices, .y = y});
  if (pass.tape() != nullptr) {
    pass.tape()->record([x, y, ends, w = std::move(values),
                         dw = std::move(gradients_of_values)](Gradients& gradients) {
      const Tensor dy = gradients.of(y);
      if (dy.data == nullptr) return;
      const auto [dx, accumulate] = gradients.target(x);
      gradients.backend().run(ops::ExpertGemmInputGradient{
          .dy = dy, .ends = ends, .w = w, .accumulate = accumulate, .dx = dx});
      if (dw.front().data == nullptr) return;
      gradients.backend().run(
          ops::ExpertGemmWeightGradient{.dy = dy, .x = x, .ends = ends, .dw = dw});
    });
  }
  return y;
}

Tensor mixed_rows(Pass& pass, const Tensor& x, const Routing& routing) {
  const Tensor places = routing.choice.places, weights = routing.weights;
  const Tensor y = pass.layer_memory().allocate({places.shape[0], x.shape[1]});
  pass.backend().run(ops::MixRows{.x = x, .places = places, .weights = weights, .y = y});
  if (pass.tape() != nullptr) {
    pass.tape()->record([x, y, places, weights](Gradients& gradients) {
      const Tensor dy = gradients.of(y);
      if (dy.data == nullptr) return;
      const Tensor dx = gradients.allocate(x.shape), dweights = gradients.allocate(weights.shape);
      gradients.backend().run(ops::MixRowsBackward{
          .x = x, .places = places, .weights = weights, .dy = dy, .dx = dx, .dweights = dweights});
      gradients.give(x, dx);
      gradients.give(weights, dweights);
    });
  }
  return y;
}

}  // namespace gist

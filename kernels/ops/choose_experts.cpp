#include "kernels/ops/choose_experts.h"

#include "kernels/ops/check_tensors.h"

namespace gist::ops {

void check(const ChooseExperts& op) {
  const Shape& logits = op.logits.shape;
  const Shape& chosen = op.routing.experts.shape;
  const ExpertRouting& routing = op.routing;
  if (logits.rank != 2 || chosen.rank != 2 || !is_f32(op.logits, logits) ||
      !is_i32(routing.experts, {logits[0], chosen[1]}) || chosen[1] < 1 || chosen[1] > logits[1] ||
      !is_i32(routing.places, chosen) || !is_i32(routing.rows, {chosen.elements()}) ||
      !is_i32(routing.ends, {logits[1]}) || !is_f32(op.weights, chosen)) {
    refuse(
        op.name,
        "logits f32 [n, e], experts and places i32 [n, k] with k from 1 to e, rows i32 [n k], ends "
        "i32 [e] and weights f32 [n, k]",
        {{"logits", op.logits},
         {"experts", routing.experts},
         {"places", routing.places},
         {"rows", routing.rows},
         {"ends", routing.ends},
         {"weights", op.weights}});
  }
}

void check(const ChooseExpertsBackward& op) {
  const Shape& logits = op.logits.shape;
  const Shape& chosen = op.experts.shape;
  if (logits.rank != 2 || chosen.rank != 2 || !is_f32(op.logits, logits) ||
      !is_i32(op.experts, {logits[0], chosen[1]}) || chosen[1] < 1 || chosen[1] > logits[1] ||
      !is_f32(op.weights, chosen) || !is_f32(op.dweights, chosen) || !is_f32(op.dlogits, logits)) {
    refuse(
        op.name,
        "logits and dlogits f32 [n, e], experts i32 [n, k] with k from 1 to e, weights and dweights "
        "f32 [n, k]",
        {{"logits", op.logits},
         {"experts", op.experts},
         {"weights", op.weights},
         {"dweights", op.dweights},
         {"dlogits", op.dlogits}});
  }
}

/// A softmax, and its division by the chosen ones' sum.
OpCost cost(const ChooseExperts& op) {
  const std::int64_t chosen = op.weights.shape.elements();
  const ExpertRouting& routing = op.routing;
  return one_call(3 * op.logits.shape.elements() + 2 * chosen, {&op.logits},
                  {&routing.experts, &routing.places, &routing.rows, &routing.ends, &op.weights});
}

OpCost cost(const ChooseExpertsBackward& op) {
  const std::int64_t chosen = op.weights.shape.elements();
  const std::int64_t all = op.normalised ? 0 : op.logits.shape.elements();
  return one_call(4 * chosen + 4 * all, {&op.logits, &op.experts, &op.weights, &op.dweights},
                  {&op.dlogits});
}

}  // namespace gist::ops

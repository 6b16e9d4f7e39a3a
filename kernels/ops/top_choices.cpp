#include "kernels/ops/top_choices.h"

#include "kernels/ops/check_divergence.h"
#include "kernels/ops/check_tensors.h"

namespace gist::ops {
namespace {

void require_top(std::string_view op, const TopChoices& top, std::int64_t m) {
  const bool is_matrix = top.ids.shape.rank == 2 && top.ids.shape[1] > 0;
  if (!is_matrix || !is_i32(top.ids, {m, top.ids.shape[1]}) || !is_f32(top.log_p, top.ids.shape)) {
    refuse(op, fmt::format("ids i32 [{0}, k] and log_p f32 [{0}, k]", m),
           {{"ids", top.ids}, {"log_p", top.log_p}});
  }
}

void require_no_temperature(std::string_view op, const DivergenceSpec& spec) {
  if (spec.temperature != 1) {
    fail(ErrorKind::internal, "{}: expected a temperature of 1; found {}", op, spec.temperature);
  }
}

/// Of the softmax over the choices.
std::int64_t choices_flops(std::int64_t m, const DivergenceSpec& spec) {
  return 4 * m * spec.choices;
}

}  // namespace

void check(const LinearTopChoices& op) {
  require_head(op.name, "model", op.input);
  require_spec(op.name, op.spec, sizes_of(op.input).n);
  require_no_temperature(op.name, op.spec);
  require_top(op.name, op.top, op.input.hidden.shape[0]);
}

void check(const TopDistillation& op) {
  const bool gradients = op.dhidden.data != nullptr;
  check(LinearCrossEntropyGradient{.hidden = op.hidden,
                                   .head = op.head,
                                   .bias = op.bias,
                                   .spec = op.cross_entropy,
                                   .labels = op.labels,
                                   .loss = op.loss,
                                   .dhidden = gradients ? op.dhidden : op.hidden,
                                   .dhead = op.dhead,
                                   .dbias = op.dbias});
  if (!gradients && (op.dhead.data != nullptr || op.dbias.data != nullptr)) {
    fail(ErrorKind::internal, "{}: expected dhidden beside dhead and dbias; found none", op.name);
  }
  require_spec(op.name, op.spec, op.head.shape[0]);
  require_no_temperature(op.name, op.spec);
  const std::int64_t m = op.hidden.shape[0];
  require_top(op.name, op.teacher, m);
  if (!is_f32(op.divergence, {m})) {
    refuse(op.name, "divergence f32 [m]", {{"divergence", op.divergence}, {"hidden", op.hidden}});
  }
  require_share(op.name, op.weight);
}

OpCost cost(const LinearTopChoices& op) {
  const GemmSizes s = sizes_of(op.input);
  return one_call(product_flops(s, op.input.bias) + choices_flops(s.m, op.spec),
                  {&op.input.hidden, &op.input.bias, &op.spec.excluded},
                  {&op.top.ids, &op.top.log_p}, static_cast<std::int64_t>(op.input.head->bytes()));
}

OpCost cost(const TopDistillation& op) {
  const GemmSizes s = op.sizes();
  std::int64_t products = 1;
  if (op.dhidden.data != nullptr) ++products;
  if (op.dhead.data != nullptr) ++products;
  const std::int64_t softmax = (op.dhidden.data == nullptr ? 3 : 5) * s.m * s.n;
  const std::int64_t of_ids = 5 * op.teacher.ids.shape.elements();
  return one_call(
      products * product_flops(s, op.bias) + softmax + choices_flops(s.m, op.spec) + of_ids,
      {&op.hidden, &op.head, &op.bias, &op.teacher.ids, &op.teacher.log_p, &op.spec.excluded,
       &op.labels, &op.dhead, &op.dbias},
      {&op.loss, &op.divergence, &op.dhidden, &op.dhead, &op.dbias});
}

}  // namespace gist::ops

#include "core/ops/low_rank.h"

#include "kernels/error.h"

namespace gist {
namespace {

/// to[tokens] += rows; `memory` gives a tensor of a shape.
template <typename Allocate>
void add_to_rows(const Tensor& rows, const Tensor& tokens, const Tensor& to, Backend& backend,
                 const Allocate& memory) {
  const Tensor sum = memory(rows.shape);
  backend.run(ops::GatherRows{.x = to, .rows = tokens, .y = sum});
  backend.run(ops::Add{.a = sum, .b = rows, .y = sum});
  backend.run(ops::ScatterRows{.x = sum, .rows = tokens, .y = to});
}

}  // namespace

AddedProduct add_low_rank(Pass& pass, const Tensor& x, int weight, const Tensor& y) {
  const Pass::Adapted& adapted = pass.adapted();
  if (adapted.adapter == nullptr) return {};
  const LowRank* part = adapted.adapter->of(weight, pass.layer());
  if (part == nullptr) return {};
  if (x.shape[0] != pass.tokens()) {
    fail(ErrorKind::internal,
         "linear: weight {} has an adapter's part, but {} rows are not the {} tokens", weight,
         x.shape[0], pass.tokens());
  }
  const AdapterSpec& spec = adapted.adapter->spec();
  const std::int64_t g = adapted.tokens.shape[0];
  const auto allocate = [&](const Shape& shape) { return pass.layer_memory().allocate(shape); };
  Backend& backend = pass.backend();
  AddedProduct added{part,
                     spec.alpha / static_cast<float>(spec.rank),
                     pass.next_dropout(spec.dropout),
                     adapted.tokens,
                     allocate({g, x.shape[1]}),
                     allocate({g, spec.rank})};
  backend.run(ops::GatherRows{.x = x, .rows = added.tokens, .y = added.x});
  if (added.dropout.probability > 0) {
    backend.run(ops::Dropout{.x = added.x, .dropout = added.dropout, .y = added.x});
  }
  backend.run(ops::Gemm{.x = added.x, .w = *part->a.matrix, .y = added.reduced});
  backend.run(ops::ScaleAndCap{.x = added.reduced, .scale = added.scale, .y = added.reduced});
  const Tensor product = allocate({g, y.shape[1]});
  backend.run(ops::Gemm{.x = added.reduced, .w = *part->b.matrix, .y = product});
  add_to_rows(product, added.tokens, y, backend, allocate);
  return added;
}

void low_rank_backward(const AddedProduct& added, const Tensor& dy, const Tensor& dx,
                       Gradients& gradients) {
  if (added.part == nullptr) return;
  const auto allocate = [&](const Shape& shape) { return gradients.allocate(shape); };
  Backend& backend = gradients.backend();
  const auto& [a, b] = *added.part;
  const Tensor dproduct = allocate({added.tokens.shape[0], dy.shape[1]});
  backend.run(ops::GatherRows{.x = dy, .rows = added.tokens, .y = dproduct});
  backend.run(ops::GemmWeightGradient{.dy = dproduct, .x = added.reduced, .dw = b.gradient});
  const Tensor dreduced = allocate(added.reduced.shape);
  backend.run(ops::GemmInputGradient{.dy = dproduct, .w = b.tensor, .dx = dreduced});
  backend.run(ops::ScaleAndCap{.x = dreduced, .scale = added.scale, .y = dreduced});
  backend.run(ops::GemmWeightGradient{.dy = dreduced, .x = added.x, .dw = a.gradient});
  const Tensor dx_rows = allocate(added.x.shape);
  backend.run(ops::GemmInputGradient{.dy = dreduced, .w = a.tensor, .dx = dx_rows});
  if (added.dropout.probability > 0) {
    backend.run(ops::Dropout{.x = dx_rows, .dropout = added.dropout, .y = dx_rows});
  }
  add_to_rows(dx_rows, added.tokens, dx, backend, allocate);
}

}  // namespace gist

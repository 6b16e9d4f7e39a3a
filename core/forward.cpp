#include "core/forward.h"

namespace gist {

namespace {

/// A layer may hand on what it got, whose memory ends with this layer.
Tensor outliving(Pass& pass, const Tensor& result, const Tensor& hidden) {
  if (result.data != hidden.data) return result;
  const Tensor kept = pass.layer_memory().allocate(result.shape, result.dtype);
  pass.backend().copy(result, kept);
  return kept;
}

}  // namespace

Tensor forward(Pass& pass) {
  Family& family = pass.model().family();
  const int stack = pass.stack_index();
  const int layers = pass.stack().layers;

  pass.begin_part(0, 0);
  Tensor hidden = family.enter(pass, stack);
  for (int layer = 0; layer < layers; ++layer) {
    pass.begin_part(layer + 1, layer);
    hidden = outliving(pass, family.layer(pass, stack, layer, hidden), hidden);
  }
  pass.begin_part(layers + 1, layers - 1);
  return family.leave(pass, stack, hidden);
}

Tensor logits(const Model& model, const Tensor& hidden, Workspace& memory) {
  const HeadSpec& head = model.spec().head;
  const Matrix& matrix = *model.weight(head.weight, 0).matrix;
  const Tensor bias = head.bias < 0 ? Tensor{} : model.weight(head.bias, 0).tensor;
  const Tensor result = memory.allocate({hidden.shape[0], matrix.n()});
  model.backend().run(ops::Gemm{.x = hidden, .w = matrix, .bias = bias, .y = result});
  if (head.scale != 1 || head.soft_cap != 0) {
    model.backend().run(
        ops::ScaleAndCap{.x = result, .scale = head.scale, .soft_cap = head.soft_cap, .y = result});
  }
  return result;
}

}  // namespace gist

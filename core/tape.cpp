#include "core/tape.h"

namespace gist {

Tensor Gradients::of(const Tensor& result) const {
  const auto found = slots_.find(result.data);
  return found == slots_.end() ? Tensor{} : found->second.gradient.reshaped(result.shape);
}

void Gradients::give(const Tensor& x, const Tensor& gradient) {
  const auto [slot, fresh] = slots_.try_emplace(x.data, Slot{gradient, false});
  if (fresh) return;
  const Tensor before = slot->second.gradient.reshaped(gradient.shape);
  backend().run(ops::Add{.a = before, .b = gradient, .y = gradient});
  slot->second = {gradient, false};
}

void Gradients::share(const Tensor& x, const Tensor& gradient) {
  const auto [slot, fresh] = slots_.try_emplace(x.data, Slot{gradient, true});
  if (fresh) return;
  const Tensor before = slot->second.gradient.reshaped(gradient.shape);
  const Tensor sum = slot->second.shared ? allocate(gradient.shape) : before;
  backend().run(ops::Add{.a = before, .b = gradient, .y = sum});
  slot->second = {sum, false};
}

Gradients::Target Gradients::target(const Tensor& x) {
  const auto [slot, fresh] = slots_.try_emplace(x.data, Slot{});
  if (fresh) {
    slot->second = {allocate(x.shape), false};
    return {slot->second.gradient, false};
  }
  if (slot->second.shared) {
    const Tensor copy = allocate(x.shape);
    backend().copy(slot->second.gradient, copy);
    slot->second = {copy, false};
  }
  return {slot->second.gradient.reshaped(x.shape), true};
}

Tape::Result Tape::backward(const Tensor& output, const Tensor& gradient, const Tensor& input,
                            const Tensor& other, Workspace& memory) {
  Gradients gradients(memory);
  gradients.share(output, gradient);
  for (auto step = steps_.rbegin(); step != steps_.rend(); ++step) (*step)(gradients);
  steps_.clear();
  Result result{gradients.of(input), other.data == nullptr ? Tensor{} : gradients.of(other)};
  if (result.input.data != nullptr && result.input.data == gradient.data) {
    const Tensor kept = memory.allocate(gradient.shape);  // what was given belongs to the caller
    memory.backend().copy(gradient, kept);
    result.input = kept;
  }
  return result;
}

}  // namespace gist

// Reverse-mode differentiation. While a part of a model (a layer, say) runs, each operation records
// how the gradient of its result becomes gradients of its inputs; `backward` runs these steps in
// reverse. Weights are not on the tape: their gradients are added up where they stand
// (core/parameters.h).
#pragma once

#include <functional>
#include <unordered_map>
#include <vector>

#include "core/workspace.h"
#include "kernels/backend.h"

namespace gist {

/// The gradients of one part's tensors, while its tape runs backwards. A tensor is known by its
/// address.
class Gradients {
 public:
  explicit Gradients(Workspace& memory) : memory_(&memory) {}

  Backend& backend() const { return memory_->backend(); }
  Tensor allocate(const Shape& shape) { return memory_->allocate(shape); }

  /// The gradient of an operation's result, in the result's shape. Without data where nothing that
  /// matters was made of it.
  Tensor of(const Tensor& result) const;
  /// Adds `gradient` to that of x. Its memory may be x's from now on.
  void give(const Tensor& x, const Tensor& gradient);
  /// The same for a gradient that others have, too: it is never written to.
  void share(const Tensor& x, const Tensor& gradient);
  /// A Target is where an operation that can add to what is there writes the gradient of x.
  struct Target {
    Tensor tensor;
    bool accumulate;
  };
  Target target(const Tensor& x);

 private:
  struct Slot {
    Tensor gradient;
    bool shared;
  };
  Workspace* memory_;
  std::unordered_map<const void*, Slot> slots_;
};

class Tape {
 public:
  using Step = std::function<void(Gradients&)>;

  void record(Step step) { steps_.push_back(std::move(step)); }
  void clear() { steps_.clear(); }

  /// The gradients of `input` and of another tensor that the part read, given that of `output`;
  /// without data where output doesn't depend on it. They live in `memory`, as all others
  /// meanwhile. The steps are forgotten.
  struct Result {
    Tensor input, other;
  };
  Result backward(const Tensor& output, const Tensor& gradient, const Tensor& input,
                  const Tensor& other, Workspace& memory);

 private:
  std::vector<Step> steps_;
};

}  // namespace gist

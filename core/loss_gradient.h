// The loss of answers and its gradient: one batch forwards and backwards through a model.
#pragma once

#include <deque>
#include <span>

#include "core/evaluate.h"
#include "core/forward.h"
#include "core/tape.h"

namespace gist {

/// Memory of training passes, which run one after the other.
class TrainingScratch {
 public:
  explicit TrainingScratch(Backend& backend)
      : pass(backend), gradients{Workspace(backend), Workspace(backend)}, backend_(&backend) {}

  Scratch pass;
  Workspace gradients[2];  // successive parts use them in turn
  /// The activations of part `index`: `enter`, a layer, or `leave`.
  Workspace& part(std::size_t index);

 private:
  Backend* backend_;
  std::deque<Workspace> parts_;
};

/// Adds the gradient of factor * (the sum of the labels' cross-entropy) to the gradients of the
/// model's weights, and returns that sum, without the factor. The model is one to train; sequences
/// are answers without stored gists. `recompute` keeps nothing but each layer's input, and computes
/// the layer again when its gradient is due: the same numbers from less memory.
double add_loss_gradient(const Model& model, std::span<const LabelledSequence> sequences,
                         float factor, bool recompute, TrainingScratch& scratch);

}  // namespace gist

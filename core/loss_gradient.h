// The loss of answers and its gradient: one batch forwards and backwards through a model.
#pragma once

#include <array>
#include <deque>
#include <optional>
#include <span>

#include "core/forward.h"
#include "core/predict.h"
#include "core/tape.h"

namespace gist {

/// Memory of one stack's training passes, which run one after the other.
class StackScratch {
 public:
  explicit StackScratch(Backend& backend)
      : pass(backend), gradients{Workspace(backend), Workspace(backend)} {}

  Scratch pass;
  Workspace gradients[2];  // successive parts use them in turn
  /// The activations of part `index`: `enter`, a layer, or `leave`.
  Workspace& part(std::size_t index);

 private:
  std::deque<Workspace> parts_;
};

struct TrainingScratch {
  explicit TrainingScratch(Backend& backend)
      : stacks{{StackScratch(backend), StackScratch(backend)}} {}
  std::array<StackScratch, 2> stacks;
};

struct LossOptions {
  float factor = 1;  // of the loss, in its gradient
  /// Keeps nothing but each layer's input, and computes the layer again when its gradient is due:
  /// the same numbers from less memory.
  bool recompute = false;
  std::optional<PassDropout> dropout;
  float label_smoothing = 0;  // as CrossEntropySpec's
};

/// Adds the gradient of factor * (the sum of the labels' cross-entropy) to the gradients of the
/// model's weights, and returns that sum, without the factor. The model is one to train; sequences
/// are answers without stored gists.
double add_loss_gradient(const Model& model, std::span<const LabelledSequence> sequences,
                         const LossOptions& options, TrainingScratch& scratch);

}  // namespace gist

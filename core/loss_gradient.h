// The loss of answers and its gradient: one batch forwards and backwards through a model.
#pragma once

#include <array>
#include <deque>
#include <optional>
#include <span>

#include "core/forward.h"
#include "core/predict.h"
#include "core/tape.h"
#include "core/teacher.h"

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
  /// What a teacher makes of the same sequences; null: the labels alone are learnt.
  const Lesson* lesson = nullptr;
};

/// Sums over the labels of some sequences.
struct LossSum {
  double loss = 0;  // what the gradient is taken of, without LossOptions::factor
  double cross_entropy = 0;
  double divergence = 0;  // from the teacher, where there is one
};

/// Adds the gradient of factor * (the sum of the labels' cross-entropy) to the gradients of the
/// model's weights, or with a lesson that of the loss in core/teacher.h. The model is one to train;
/// sequences are answers without stored gists.
LossSum add_loss_gradient(const Model& model, std::span<const LabelledSequence> sequences,
                          const LossOptions& options, TrainingScratch& scratch);

}  // namespace gist

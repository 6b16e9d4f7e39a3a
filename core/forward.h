// The walk: enter -> layer 0 .. n-1 -> leave, and the head.
#pragma once

#include "core/pass.h"

namespace gist {

/// Runs the batch through the pass' stack. Returns what `leave` returned, [n, d_model]; it
/// lives until the next pass.
Tensor forward(Pass& pass);

/// The head's logits [m, vocabulary] for hidden states [m, d_model], scaled and capped, in
/// `memory`.
Tensor logits(const Model& model, const Tensor& hidden, Workspace& memory);

}  // namespace gist

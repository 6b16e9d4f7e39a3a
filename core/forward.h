// The walk: enter -> layer 0 .. n-1 -> leave, and the head.
#pragma once

#include "core/pass.h"

namespace gist {

/// Runs the batch through the model's only stack. Returns what `leave` returned, [n, d_model]; it
/// lives until the next pass.
Tensor forward(Pass& pass);

/// The head's logits [m, vocabulary] for hidden states [m, d_model], scaled and capped, in the
/// pass' lasting memory.
Tensor logits(Pass& pass, const Tensor& hidden);

}  // namespace gist

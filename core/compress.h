// Compression: one pass over a batch of prompts, of which the gist tokens' activations are kept.
#pragma once

#include <span>
#include <vector>

#include "core/batch.h"
#include "core/forward.h"
#include "core/gist_activations.h"
#include "core/model.h"

namespace gist {

/// The activations of each sequence's tokens in `kept` (for a gist: its interval; for a full
/// prompt: all of them), computed in one pass. `kept` has an interval for each sequence.
std::vector<GistActivations> compress(const Model& model, std::span<const Sequence> sequences,
                                      std::span<const Interval> kept, Condition condition,
                                      Scratch& scratch);

}  // namespace gist

// The gist invariant: generating from stored gists at their stored position gives the same logits
// as the full masked forward pass over `prompt gist^k input completion`.
#pragma once

#include <memory>
#include <string>

#include "core/model.h"

namespace gist {

/// Checks it in f32 on the CPU, with random weights, on one batch of rows of different lengths and
/// k (1 and 3), an empty input among them, fed from the store as generation does: the input in one
/// pass, then token by token. Returns what was found where logits differ by more than 1e-5 of the
/// largest one or aren't finite, "" where all is well. Throws what the family's callbacks throw,
/// and Error(data) where the model is too small to be checked.
std::string broken_gist_invariant(std::unique_ptr<Family> family);

}  // namespace gist

// Whether a device computes what the CPU computes: a driver, a compiler or a card that is at fault
// must not spoil a store or a model without a word.
#pragma once

#include <string>

#include "kernels/backend.h"

namespace gist {

/// Runs one small layer's operations (norm, product, rotation, attention behind a gist, gated
/// activation, sampling) on both, each from the oracle's results. Says what the first operation
/// whose results differ by more than `tolerance` of the largest one computes; empty: none does.
std::string self_check(Backend& device, Backend& oracle, float tolerance);

}  // namespace gist

// Checks of what a family does with its weights.
#pragma once

#include <string>

#include "plugins/host/check/subject.h"

namespace gist {

/// Finds weights that are declared and never used, gradients that differ from what the loss does when
/// a weight changes, and callbacks that give other tensors when a layer is computed again for them.
/// Returns what is wrong, "" where nothing is.
std::string broken_weights(const CheckSubject& subject);

}  // namespace gist

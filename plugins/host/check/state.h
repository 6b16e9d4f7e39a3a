// Checks that a family's callbacks are pure.
#pragma once

#include <string>

#include "plugins/host/check/subject.h"

namespace gist {

/// Runs a model again and again, beside another one of the family whose callbacks run between its
/// own, on another thread, and at the same time as that one, and compares what each callback gives
/// bit for bit. Returns what is wrong, "" where nothing is.
std::string broken_purity(const CheckSubject& subject);

}  // namespace gist

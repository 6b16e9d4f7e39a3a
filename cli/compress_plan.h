// This file prints what a run of compress would take.
#pragma once

#include <cstddef>

#include "gist/compress_plan.h"

namespace gist {

/// Prints the plan as JSON, with the number of records that are left out and, where there is a
/// check, of prompts that are checked. Throws Error(unavailable) with the figures where the memory
/// that is available, in bytes, would not suffice.
void print_compress_plan(const CompressPlan& plan, std::size_t left_out, bool with_checks,
                         std::size_t available);

}  // namespace gist

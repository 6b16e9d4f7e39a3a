// What checks of operations on next-token distributions have in common (divergence.cpp).
#pragma once

#include <cstdint>
#include <string_view>

#include "kernels/ops/divergence.h"

namespace gist::ops {

GemmSizes sizes_of(const HeadInput& input);

/// Throws Error(internal) where the input's tensors don't fit its head. `whose` names the model.
void require_head(std::string_view op, std::string_view whose, const HeadInput& input);

/// Throws Error(internal) where the spec doesn't fit models with `vocabulary` ids in common.
void require_spec(std::string_view op, const DivergenceSpec& spec, std::int64_t vocabulary);

void require_share(std::string_view op, float weight);

}  // namespace gist::ops

// A baseline is what a prompt could be kept as without training: a gist should beat it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "core/gist_activations.h"

namespace gist {

enum class Baseline : std::uint8_t {
  cut,     // the prompt's first k tokens in place of the prompt
  pooled,  // its keys and values, averaged over k segments
  random   // those of k of its tokens
};
std::string_view name_of(Baseline baseline);
std::optional<Baseline> baseline_named(std::string_view name);

/// The means of the prompt's unrotated keys, values and hidden states over k segments of tokens, as
/// equal as can be; all tokens where the prompt has at most k. k is at least 1.
GistActivations mean_pooled(const GistActivations& prompt, std::int32_t k);

/// k of the prompt's tokens in their order, each choice as likely; all of them where the prompt has
/// at most k. The draw depends on the seed and the record's ordinal alone.
GistActivations random_tokens(const GistActivations& prompt, std::int32_t k, std::uint64_t seed,
                              std::uint64_t ordinal);

}  // namespace gist

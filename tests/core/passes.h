// Tests ask these things of the engine that its users don't: logits, and many completions at once.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "core/compress.h"
#include "core/generate.h"
#include "core/predict.h"

namespace gist {

/// max |a - b| / max |b|.
double relative_error(std::span<const float> a, std::span<const float> b);

/// The logits [labels, vocabulary] that predict each sequence's labels, all sequences in one pass.
std::vector<std::vector<float>> label_logits(const Model& model,
                                             std::span<const LabelledSequence> sequences,
                                             Scratch& scratch);

/// The token callback's arguments and answer, as in GenerationEvents.
using TokenCallback = std::function<bool(std::uint64_t, const std::vector<std::int32_t>&)>;

/// Completions by the requests' numbers. Fails the test where a request was not done exactly once.
std::vector<Completion> complete(const Model& model, const GenerationOptions& options,
                                 const std::vector<GenerationRequest>& requests,
                                 const TokenCallback& token = nullptr);
/// Their token ids.
std::vector<std::vector<std::int32_t>> ids_of(const std::vector<Completion>& completions);

/// A request to continue a sequence under pos.
GenerationRequest request_for(std::vector<std::int32_t> ids, std::uint64_t ordinal = 0);
/// `count` random ids below `vocabulary`.
std::vector<std::int32_t> random_ids(std::size_t count, std::int32_t vocabulary,
                                     std::uint32_t seed);

/// The prompt of a sequence, up to its gist's end, compressed alone.
GistActivations compress_one(const Model& model, const Sequence& sequence, Scratch& scratch,
                             Condition condition = Condition::gist);
/// The sequence up to its gist's end, and what follows it.
Sequence head_of(const Sequence& sequence);
Sequence tail_of(const Sequence& sequence);

}  // namespace gist

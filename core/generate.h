// Generation of many rows at once: each with its own gist, length and stop. New rows are prefilled
// in the same pass in which the others decode; a row that ends makes room for the next.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/batch.h"
#include "core/gist_activations.h"
#include "core/model.h"

namespace gist {

/// One thing to continue: a sequence, and the stored gist before it, if any.
struct GenerationRequest {
  Sequence sequence;                        // what is read: with a stored gist, what follows it
  Condition condition = Condition::pos;     // of the sequence; behind a stored gist: pos
  const GistActivations* stored = nullptr;  // lives until the request has ended
  std::int32_t stored_position = 0;         // where the stored gist's first token stands
  std::uint64_t ordinal = 0;  // the record's number in the input: its draws depend on it
};

struct GenerationOptions {
  SamplingOptions sampling;
  std::int32_t max_new_tokens = 256;
  std::vector<std::int32_t> ends;  // tokens each of which ends a row
  std::uint64_t seed = 0;
  std::int32_t max_rows = 64;        // rows that decode together
  std::int32_t batch_tokens = 4096;  // tokens of one pass; a longer row has a pass of its own
  /// Keys that are kept at once, and at most 4 GiB of them. A row that needs more gets a cache of
  /// its own size, alone.
  std::int32_t cache_tokens = 32768;
};

enum class FinishReason : std::uint8_t { eos, stop, length };
std::string_view name_of(FinishReason reason);

struct Completion {
  std::vector<std::int32_t> ids;  // without the token that ended it
  FinishReason reason = FinishReason::length;
  std::int32_t end = -1;  // with the reason eos: that token
};

/// GenerationEvents are what a caller hears while rows run. `next` gives the next request, or
/// nothing at the end of the input, and is asked whenever there may be room. `token` hears of each
/// new token of the request with this number (counted from 0 in the order of `next`) and answers
/// whether to go on: false ends the row with reason `stop`. `done` hears of rows in the order in
/// which they end.
struct GenerationEvents {
  std::function<std::optional<GenerationRequest>()> next;
  std::function<bool(std::uint64_t request, const std::vector<std::int32_t>& ids)> token;
  std::function<void(std::uint64_t request, Completion completion)> done;
  std::function<bool()>
      interrupted;  // asked between steps: true ends generation early, without `done`
};

/// All events must be set. Throws Error(data) naming the request's ordinal, counted from 1, where a
/// sequence is empty, leaves no room within the model's positions or gets logits that aren't
/// finite, and Error(usage) where max_new_tokens or max_rows is below 1.
void generate(const Model& model, const GenerationOptions& options, const GenerationEvents& events);

}  // namespace gist

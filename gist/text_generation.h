// Completions as text: many contexts at a time, each answered to its end or to a stop string.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/generate.h"
#include "formats/model/tokenizer.h"
#include "formats/sequences/context.h"

namespace gist {

/// One context to answer, with the stored gist that it stands behind, if any.
struct TextRequest {
  Context context;
  std::shared_ptr<const GistActivations> stored;
  std::uint64_t ordinal = 0;  // its draws depend on this, not on what runs beside it
};

struct TextCompletion {
  std::string text;  // without the stop string that ended it
  FinishReason reason = FinishReason::length;
  std::int64_t tokens = 0;  // those of the stop string counted
};

/// TextEvents are what a caller hears while contexts are answered. Requests are numbered from 0 in
/// the order of `next`. `next` and `done` must be set.
struct TextEvents {
  /// The next request, or nothing at the end of the input; asked whenever there may be room.
  std::function<std::optional<TextRequest>()> next;
  /// Whether `text` wants to hear of this request, as it stands now; unset: of each.
  std::function<bool(std::uint64_t request)> follows = {};
  /// `text` hears after each token the text so far that will stay as it is. False ends the request
  /// with the reason `stop`.
  std::function<bool(std::uint64_t request, std::string_view settled)> text = {};
  /// Requests come in the order in which they end.
  std::function<void(std::uint64_t request, TextCompletion completion)> done;
  /// Asked between steps: true ends generation early, without `done` for what runs.
  std::function<bool()> interrupted = {};
};

/// Answers all requests. `stops` are texts that end a completion; none is empty. Throws as
/// `generate` (core/generate.h) does, and what an event throws.
void generate_texts(const Model& model, const Tokenizer& tokenizer,
                    const GenerationOptions& options, const std::vector<std::string>& stops,
                    const TextEvents& events);

}  // namespace gist

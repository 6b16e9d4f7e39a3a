// Goldens: what the reference implementation computed, one sequence at a time, in f32.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/batch.h"

namespace gist {

struct Golden {
  Sequence sequence;                 // prompt, gist, input, answer, eos
  std::int32_t labels = 0;           // the last tokens, which are the answer and eos
  std::vector<float> logits;         // [labels, vocabulary] that predict the labels
  float loss = 0;                    // mean over the labels
  std::vector<std::int32_t> greedy;  // at most 24 tokens after the prompt, without eos
  std::vector<float> key, value;     // condition gist: [layers, kv_heads, k, dim], before RoPE

  Interval gist() const { return sequence.gists[0]; }
  /// The sequence up to its answer.
  Sequence prompt() const;
};

constexpr std::int32_t golden_prompts = 4;
constexpr std::int32_t greedy_tokens = 24;

std::int32_t gist_token_of(const std::string& set);
/// Prompt number `prompt` of a set ("stories260K-gist", "wordtasks-llama-gist") with k gist tokens.
Golden load_golden(const std::string& set, Condition condition, int k, int prompt);

}  // namespace gist

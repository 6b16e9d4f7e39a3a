// Goldens: what the original implementation computed in f32: one sequence at a time, and in
// training all prompts of a set as one batch.
#pragma once

#include <cstdint>
#include <map>
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
  std::vector<float> hidden;         // of an encoder-decoder: [k, d_model], the encoder's output

  Interval gist() const { return sequence.gists[0]; }
  /// The sequence up to its answer.
  Sequence prompt() const;
};

constexpr std::int32_t golden_prompts = 4;
constexpr Condition golden_conditions[] = {Condition::gist, Condition::pos, Condition::neg};
constexpr std::int32_t greedy_tokens = 24;

/// The sets, each named as its model: a family more is a row more.
inline std::vector<std::string> golden_sets() {
  return {"stories260K-gist", "wordtasks-llama-gist", "wordtasks-t5-gist", "tiny-mistral",
          "tiny-mixtral",     "tiny-qwen2",           "tiny-qwen3",        "tiny-olmo2",
          "tiny-gemma2",      "tiny-gemma3",          "tiny-phi3",         "tiny-gpt2",
          "tiny-umt5"};
}
/// The set's name as part of a test's.
std::string set_name(std::string set);

std::int32_t gist_token_of(const std::string& set);
/// Prompt number `prompt` of a set with k gist tokens.
Golden load_golden(const std::string& set, Condition condition, int k, int prompt);

/// A probe stands for a whole tensor: it is its L2 norm and its sum over the flat index n of x[n]
/// sin(n + 1).
struct Probe {
  double norm = 0;
  double sum = 0;
};

/// The loss of all prompts as one batch, its mean over all labels, and its gradients by the
/// parameters' names.
struct GradientGolden {
  float loss = 0;
  std::map<std::string, Probe> probes;                  // for the first k only
  std::map<std::string, std::vector<float>> gradients;  // likewise, and of small models only
};
GradientGolden load_gradient_golden(const std::string& set, Condition condition, int k);

/// AdamW steps on that batch under the condition gist, with the first k. None: empty.
struct AdamwGolden {
  std::vector<float> loss, gradient_norm;  // before each step; the norm before clipping
  std::map<std::string, Probe> weights;    // after the last step
};
AdamwGolden load_adamw_golden(const std::string& set);

}  // namespace gist

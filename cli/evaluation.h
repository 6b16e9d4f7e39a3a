// What an evaluation measures: quality by group, and what it cost.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/context.h"
#include "core/evaluate.h"

namespace gist {

/// A record to evaluate.
struct EvaluationItem {
  Context context;
  std::vector<std::int32_t> labels;  // the tokens of its answer, eos included
  std::string reference;             // the answer as text
  std::size_t group = 0;             // index into Evaluation::groups; without groups, 0
  std::uint64_t ordinal = 0;
};

/// Sums over the records of a group.
struct Scores {
  std::uint64_t records = 0;
  std::uint64_t exact = 0;   // completions equal to the reference, both stripped
  std::uint64_t labels = 0;  // label tokens
  double loss_sum = 0;       // of the labels' cross-entropy, in nats
  double loss() const { return loss_sum / static_cast<double>(labels); }
  double perplexity() const;
  double exact_match() const { return static_cast<double>(exact) / static_cast<double>(records); }
};

/// Sums over all records.
struct EvaluationCost {
  double loss_seconds = 0;
  double generation_seconds = 0;
  std::uint64_t generated_tokens = 0;
  std::uint64_t prompt_tokens = 0;  // read to answer; what a store holds is not read
  std::uint64_t kept_bytes = 0;     // of keys and values of what the answer sees before the input:
                                 // prompt and gist under pos, gist alone under gist, none under neg
};

struct ScoredGroup {
  std::string name;
  Scores scores;
};

struct Evaluation {
  std::vector<ScoredGroup> groups;  // in the order in which they first appear
  Scores all;
  EvaluationCost cost;

  /// The index of the group with this name, which is added where it is new.
  std::size_t group_named(const std::string& name);
  /// Adds a record's scores to its group, if there are groups, and to all.
  void add(std::size_t group, const Scores& scores);
};

/// Whether a completion is its reference, apart from ASCII white space around them.
bool exact_match(const std::string& completion, const std::string& reference);

/// Adds loss and its cost: passes of at most `batch_tokens` tokens (a longer record has its own).
void measure_loss(const std::vector<EvaluationItem>& items, const Model& model,
                  ContextReader& contexts, std::int32_t batch_tokens, Evaluation& evaluation);

/// Adds exact match and the cost of generating.
void measure_exact_match(const std::vector<EvaluationItem>& items, const Model& model,
                         ContextReader& contexts, const Tokenizer& tokenizer,
                         const GenerationOptions& options, Evaluation& evaluation);

}  // namespace gist

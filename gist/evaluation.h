// An evaluation measures these things of each record, for each of the systems that answer it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/answer_loss.h"
#include "core/fidelity.h"
#include "core/quality/copy_accuracy.h"
#include "core/quality/rouge.h"
#include "core/top_predictions.h"
#include "formats/sequences/context.h"
#include "gist/evaluation_events.h"

namespace gist {

/// A run keeps so many characters of each text of a sample, and a report shows them.
constexpr std::size_t most_sample_characters = 1500;

/// A record to evaluate, as text.
struct EvaluationRecord {
  std::string instruction;  // "" where the record has none
  std::string input;
  std::string reference_answer;
  std::size_t group = 0;  // index into Evaluation::groups; without groups, 0
  std::uint64_t ordinal = 0;
};

/// A record as a system reads it.
struct EvaluationItem {
  Context context;
  std::vector<std::int32_t> labels;  // the tokens of the answer, eos included
  std::vector<std::int32_t> prompt;  // of a baseline: what its stored gist is made of
  std::uint64_t ordinal = 0;

  std::int64_t tokens() const {
    return context.answer_position() + static_cast<std::int64_t>(labels.size());
  }
};

/// AnswerScores say how near a completion is to its reference.
struct AnswerScores {
  bool exact = false;
  double f1 = 0;
  RougeScores rouge;
  std::uint64_t words = 0;  // of the completion
  CopyCounts copied;
};
AnswerScores score_answer(const std::string& completion, const std::string& reference,
                          RougeScorer& rouge);

struct RecordResult {
  AnswerLoss loss;  // without labels where there is no model
  std::string completion;
  AnswerScores scores;
  Fidelity fidelity;  // to the reference system; without labels where it was not measured
  std::int64_t completion_tokens = 0;
  std::int64_t prompt_tokens = 0;  // read to answer; what a store holds is not read
  std::int64_t kept_tokens = 0;    // of prompt and gist, that the answer sees
  /// `kept_bytes` is the size in a store of what the answer sees before the input: prompt and gist
  /// under pos, the gist alone under gist, nothing under neg. As stored_token_bytes (core/cost.h),
  /// as everywhere.
  std::int64_t kept_bytes = 0;
};

/// A system is what answers: a model under a condition, or a baseline of one, or completions of any
/// origin.
struct SystemDescription {
  std::string name;
  std::string model;  // its directory; "" for completions
  Condition condition = Condition::gist;
  std::int64_t gist_tokens = 0;
  std::string store;     // "" where contexts come from records alone
  std::string baseline;  // its name, or ""
};

struct SystemResults {
  SystemDescription system;
  std::vector<RecordResult> records;  // [records], in the order of the data
  double loss_seconds = 0;
  double generation_seconds = 0;
};

/// SystemCost is what answering cost, without times.
struct SystemCost {
  std::int64_t generated_tokens = 0;
  double prompt_tokens = 0;  // a record
  double kept_tokens = 0;    // a record: of prompt and gist, that the answer sees
  double prompt_bytes = 0;   // a record: what a store takes of them
};
SystemCost cost_of(const SystemResults& system);

struct Evaluation {
  std::string data;  // the name of the input
  std::string group_by;
  std::vector<std::string> groups;  // in the order in which they first appear
  std::vector<EvaluationRecord> records;
  std::vector<SystemResults> systems;
  std::size_t reference_system = 0;  // the system that the others are compared with
};

/// Gives a stored gist where an item's context is behind one, else null.
using StoredGists = std::function<std::shared_ptr<const GistActivations>(const EvaluationItem&)>;

/// A system as it runs: its items, its model, and the stored gists of its items.
struct RunningSystem {
  const std::string& name;  // for progress
  const std::vector<EvaluationItem>& items;
  const Model& model;
  const StoredGists& stored;
  std::size_t token_bytes = 0;  // in a store
};

/// Measures the answer's loss of each item, in passes of at most `batch_tokens` tokens (a longer
/// record has its own). `results` has a record for each item. False: the events asked to stop, and
/// the rest is not measured. Throws Error(data) where a logit isn't a finite number.
bool measure_loss(const RunningSystem& system, std::int32_t batch_tokens,
                  const EvaluationEvents& events, SystemResults& results);

/// Measures how near the next-token distributions of each answer are to the reference's, as
/// measure_loss does. Throws Error(data) where the two have other vocabularies, too.
bool measure_fidelity(const RunningSystem& reference, const RunningSystem& system,
                      std::int32_t batch_tokens, const GistIds& gist_ids,
                      const EvaluationEvents& events, SystemResults& results);

/// Finds the k likeliest next tokens at each label of each item, as measure_loss does, and hands
/// them on, item by item, in their order. `gist_ids` stand in no distribution.
bool measure_predictions(
    const RunningSystem& system, std::int32_t batch_tokens, const GistIds& gist_ids, std::int32_t k,
    const EvaluationEvents& events,
    const std::function<void(std::size_t item, const TopPredictions& predictions)>& found);

/// Generates and scores completions. `records` are those of the items. False: as measure_loss.
bool measure_completions(const RunningSystem& system, const std::vector<EvaluationRecord>& records,
                         const Tokenizer& tokenizer, const GenerationOptions& options,
                         RougeScorer& rouge, const EvaluationEvents& events,
                         SystemResults& results);

}  // namespace gist

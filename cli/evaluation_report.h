// An evaluation for people, as a table, and for programs, as JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cli/evaluation.h"
#include "core/visibility.h"

namespace gist {

/// What was evaluated. Without a model there is no loss, and no cost.
struct EvaluatedModel {
  std::string path;
  Condition condition = Condition::gist;
  std::int64_t gist_tokens = 0;
  std::string store;  // "" where contexts come from records alone
};

/// {"condition", "gist_tokens", "model", "store"?, "groups": [{"group", SCORES}], "all": {SCORES,
/// COST}} on one line, with SCORES "records", "label_tokens", "loss", "perplexity", "exact_match"
/// (a fraction), and COST "loss_seconds", "generation_seconds", "generated_tokens", and per record
/// "prompt_tokens" and "prompt_bytes". Without a model: SCORES "records" and
/// "exact_match", and nothing else.
std::string json_report(const Evaluation& evaluation, const std::optional<EvaluatedModel>& model);

/// A row a group and one for all, at most 80 columns wide, then what was evaluated and its cost.
/// Exact match is in per cent.
std::string table_report(const Evaluation& evaluation, const std::optional<EvaluatedModel>& model);

}  // namespace gist

#include "cli/evaluation_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "formats/text.h"

namespace gist {
namespace {

constexpr std::size_t widest_name = 28;  // so that a row fits 80 columns

double per_record(std::uint64_t sum, const Evaluation& evaluation) {
  return static_cast<double>(sum) / static_cast<double>(evaluation.all.records);
}

void add_scores(nlohmann::ordered_json& json, const Scores& scores, bool with_loss) {
  json["records"] = scores.records;
  if (with_loss) {
    json["label_tokens"] = scores.labels;
    json["loss"] = scores.loss();
    json["perplexity"] = scores.perplexity();
  }
  json["exact_match"] = scores.exact_match();
}

void add_cost(nlohmann::ordered_json& json, const Evaluation& evaluation) {
  const EvaluationCost& cost = evaluation.cost;
  json["loss_seconds"] = cost.loss_seconds;
  json["generation_seconds"] = cost.generation_seconds;
  json["generated_tokens"] = cost.generated_tokens;
  json["prompt_tokens"] = per_record(cost.prompt_tokens, evaluation);
  json["prompt_bytes"] = per_record(cost.kept_bytes, evaluation);
}

/// A name in a column: characters, not bytes, are counted.
std::string in_column(const std::string& name, std::size_t width) {
  std::string shown;
  std::size_t characters = 0;
  for (const char c : name) {
    const bool begins = (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
    if (begins && ++characters > width) break;
    shown += static_cast<unsigned char>(c) < 0x20U ? ' ' : c;
  }
  return shown + std::string(width - std::min(characters, width), ' ');
}

std::string row(const std::string& name, std::size_t width, const Scores& scores, bool with_loss) {
  std::string text = in_column(name, width) + fmt::format("  {:>7}", scores.records);
  if (with_loss) {
    text += fmt::format("  {:>7}  {:>7.4f}  {:>10.4g}", scores.labels, scores.loss(),
                        scores.perplexity());
  }
  return text + fmt::format("  {:>9.1f} %\n", 100 * scores.exact_match());
}

std::string heading(std::size_t width, bool with_loss) {
  std::string text = std::string(width, ' ') + fmt::format("  {:>7}", "records");
  if (with_loss) text += fmt::format("  {:>7}  {:>7}  {:>10}", "labels", "loss", "perplexity");
  return text + fmt::format("  {:>11}\n", "exact match");
}

std::string footer(const Evaluation& evaluation, const EvaluatedModel& model) {
  const EvaluationCost& cost = evaluation.cost;
  std::string text = fmt::format("\nmodel: {}\ncondition: {}, k = {}\n", model.path,
                                 name_of(model.condition), model.gist_tokens);
  if (!model.store.empty()) text += fmt::format("store: {}\n", model.store);
  return text + fmt::format(
                    "loss: {:.2f} s\ngeneration: {:.2f} s, {} tokens\n"
                    "a record: {:.1f} tokens read, {:.0f} bytes kept of its prompt\n",
                    cost.loss_seconds, cost.generation_seconds, cost.generated_tokens,
                    per_record(cost.prompt_tokens, evaluation),
                    per_record(cost.kept_bytes, evaluation));
}

}  // namespace

std::string json_report(const Evaluation& evaluation, const std::optional<EvaluatedModel>& model) {
  nlohmann::ordered_json report = nlohmann::ordered_json::object();
  if (model) {
    report["condition"] = name_of(model->condition);
    report["gist_tokens"] = model->gist_tokens;
    report["model"] = model->path;
    if (!model->store.empty()) report["store"] = model->store;
  }
  report["groups"] = nlohmann::ordered_json::array();
  for (const ScoredGroup& group : evaluation.groups) {
    nlohmann::ordered_json entry{{"group", group.name}};
    add_scores(entry, group.scores, model.has_value());
    report["groups"].push_back(std::move(entry));
  }
  nlohmann::ordered_json& all = report["all"];
  add_scores(all, evaluation.all, model.has_value());
  if (model) add_cost(all, evaluation);
  return report.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string table_report(const Evaluation& evaluation, const std::optional<EvaluatedModel>& model) {
  std::size_t width = 3;
  for (const ScoredGroup& group : evaluation.groups) {
    width = std::max(width, std::min(group.name.size(), widest_name));
  }
  std::string text = heading(width, model.has_value());
  for (const ScoredGroup& group : evaluation.groups) {
    text += row(group.name, width, group.scores, model.has_value());
  }
  text += row("all", width, evaluation.all, model.has_value());
  return model ? text + footer(evaluation, *model) : text;
}

}  // namespace gist

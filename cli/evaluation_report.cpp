#include "cli/evaluation_report.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "cli/evaluation_cost_table.h"
#include "formats/files/json_text.h"
#include "formats/files/text.h"
#include "gist/fidelity_tenths.h"

namespace gist {
namespace {

using Json = nlohmann::ordered_json;

Json scores_of(const SystemSummary& system, std::uint64_t records) {
  Json scores{{"records", records}};
  if (system.label_tokens > 0) scores["label_tokens"] = system.label_tokens;
  Json intervals = Json::object(), differences = Json::object();
  for (const MetricSummary& each : system.metrics) {
    scores[each.metric->key] = each.interval.value;
    intervals[each.metric->key] = {each.interval.low, each.interval.high};
    if (!each.to_reference) continue;
    const ConfidenceInterval& difference = each.to_reference->interval;
    differences[each.metric->key] = {{"value", difference.value},
                                     {"low", difference.low},
                                     {"high", difference.high},
                                     {"p", each.to_reference->p},
                                     {"p_adjusted", each.adjusted_p}};
  }
  scores["intervals"] = std::move(intervals);
  if (!differences.empty()) scores["differences"] = std::move(differences);
  return scores;
}

Json fidelity_json(const FidelityTenths& found) {
  const auto number = [](double kl) { return std::isfinite(kl) ? Json(kl) : Json(); };
  Json tenths = Json::array();
  for (const FidelityTenth& each : found.tenths) {
    tenths.push_back({{"records", each.records},
                      {"max_kl", number(each.max_kl)},
                      {"agreement", each.agreement},
                      {"same", each.same},
                      {"exact_match", each.exact}});
  }
  Json json{{"tenths", std::move(tenths)}, {"max_kl", Json()}};
  if (!found.suggested) return json;
  json["max_kl"] = *found.suggested;
  json["kept_records"] = found.kept;
  json["kept_same"] = found.kept_same;
  return json;
}

void add_cost(Json& json, const SystemResults& system) {
  const SystemCost cost = cost_of(system);
  json["loss_seconds"] = system.loss_seconds;
  json["generation_seconds"] = system.generation_seconds;
  json["generated_tokens"] = cost.generated_tokens;
  json["prompt_tokens"] = cost.prompt_tokens;
  json["kept_tokens"] = cost.kept_tokens;
  json["prompt_bytes"] = cost.prompt_bytes;
}

Json system_json(const Evaluation& evaluation, const EvaluationSummary& summary, std::size_t i) {
  const SystemDescription& system = evaluation.systems[i].system;
  Json json{{"name", system.name}};
  if (!system.model.empty()) {
    json["model"] = system.model;
    json["condition"] = name_of(system.condition);
    json["gist_tokens"] = system.gist_tokens;
  }
  if (!system.store.empty()) json["store"] = system.store;
  if (!system.baseline.empty()) json["baseline"] = system.baseline;
  json["all"] = scores_of(summary.all.systems[i], summary.all.records);
  if (!system.model.empty()) add_cost(json["all"], evaluation.systems[i]);
  const FidelityTenths fidelity = fidelity_tenths(evaluation.systems[i].records);
  if (!fidelity.tenths.empty()) json["all"]["fidelity"] = fidelity_json(fidelity);
  json["groups"] = Json::array();
  for (const GroupSummary& group : summary.groups) {
    Json entry{{"group", group.name}};
    entry.update(scores_of(group.systems[i], group.records));
    json["groups"].push_back(std::move(entry));
  }
  return json;
}

/// A field of TSV: its separators become spaces.
std::string tsv_field(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20U) c = ' ';
  }
  return text;
}

void add_lines(std::string& text, const Evaluation& evaluation, const GroupSummary& group) {
  for (std::size_t i = 0; i < group.systems.size(); ++i) {
    for (const MetricSummary& each : group.systems[i].metrics) {
      const ConfidenceInterval& interval = each.interval;
      text += fmt::format("{}\t{}\t{}\t{}\t{}\t{}", tsv_field(group.name),
                          tsv_field(evaluation.systems[i].system.name), each.metric->key,
                          interval.value, interval.low, interval.high);
      if (each.to_reference) {
        const ConfidenceInterval& difference = each.to_reference->interval;
        text += fmt::format("\t{}\t{}\t{}\t{}\t{}\n", difference.value, difference.low,
                            difference.high, each.to_reference->p, each.adjusted_p);
      } else {
        text += "\t\t\t\t\t\n";
      }
    }
  }
}

}  // namespace

std::string json_report(const Evaluation& evaluation, const EvaluationSummary& summary,
                        const std::optional<CostReport>& cost) {
  Json report{{"records", summary.all.records}};
  if (evaluation.systems.size() > 1) {
    report["reference"] = evaluation.systems[evaluation.reference_system].system.name;
  }
  report["systems"] = Json::array();
  for (std::size_t i = 0; i < evaluation.systems.size(); ++i) {
    report["systems"].push_back(system_json(evaluation, summary, i));
  }
  if (cost) report["cost"] = to_json(*cost);
  return text_of_json(report) + "\n";
}

std::string tsv_report(const Evaluation& evaluation, const EvaluationSummary& summary) {
  std::string text =
      "group\tsystem\tmetric\tvalue\tlow\thigh\tdifference\tdifference_low\tdifference_high\tp\tp_adjusted\n";
  add_lines(text, evaluation, summary.all);
  for (const GroupSummary& group : summary.groups) add_lines(text, evaluation, group);
  return text;
}

}  // namespace gist

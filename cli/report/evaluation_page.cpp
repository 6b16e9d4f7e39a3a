#include "cli/report/evaluation_page.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "cli/evaluation_report.h"
#include "cli/report/evaluation_parts.h"
#include "cli/report/page.h"
#include "core/visibility.h"

namespace gist {
namespace {

/// A measure of the systems that have a model.
template <class Value>
SystemMeasure measure(const Evaluation& evaluation, const char* heading, Quantity quantity,
                      const Value& value) {
  SystemMeasure result{heading, quantity, {}};
  for (const SystemResults& system : evaluation.systems) {
    result.values.push_back(system.system.model.empty() ? std::numeric_limits<double>::quiet_NaN()
                                                        : value(system));
  }
  return result;
}

std::vector<SystemMeasure> costs_of(const Evaluation& evaluation) {
  const bool any_model =
      std::any_of(evaluation.systems.begin(), evaluation.systems.end(),
                  [](const SystemResults& each) { return !each.system.model.empty(); });
  if (!any_model) return {};
  return {measure(evaluation, "Tokens read", Quantity::count,
                  [](const SystemResults& system) { return cost_of(system).prompt_tokens; }),
          measure(evaluation, "Bytes stored a prompt", Quantity::bytes,
                  [](const SystemResults& system) { return cost_of(system).prompt_bytes; }),
          measure(evaluation, "Time for all completions", Quantity::seconds,
                  [](const SystemResults& system) { return system.generation_seconds; }),
          measure(evaluation, "Time for all losses", Quantity::seconds,
                  [](const SystemResults& system) { return system.loss_seconds; })};
}

constexpr const char* gist_token_note =
    "Lines join systems that differ in the number of gist tokens alone; what doesn't depend on it "
    "is a broken line from side to side.";

std::string quality_note(const EvaluationView& view) {
  std::string note = "Points are values over all records, lines their intervals.";
  if (view.systems() == 1) return note;
  return note + " The broken line is at " + view.reference_name() + ".";
}

std::string compression_note(const EvaluationView& view) {
  return fmt::format(
      "A point is a record: how many times fewer bytes are stored of its prompt than under {}. "
      "Lines join means, of an eighth of the records each. Of long evaluations every n-th record "
      "is drawn, {} points at most.",
      view.reference_name(), shown(most_points, Quantity::count));
}

/// Returns how many answers had a logit that is no number.
std::uint64_t infinite_divergences(const Evaluation& evaluation) {
  std::uint64_t count = 0;
  for (const SystemResults& system : evaluation.systems) {
    for (const RecordResult& record : system.records) {
      if (record.fidelity.labels > 0 && !std::isfinite(record.fidelity.divergence)) ++count;
    }
  }
  return count;
}

std::string fidelity_note(const EvaluationView& view) {
  std::string note =
      "Records by the KL divergence of their answers' next-token distributions from those of " +
      view.reference_name() + ". The broken line is the median.";
  if (const std::uint64_t infinite = infinite_divergences(view.evaluation); infinite > 0) {
    note += fmt::format(" {} with an infinite divergence are left out.", infinite);
  }
  return note;
}

Html lead(const EvaluationView& view) {
  const Evaluation& evaluation = view.evaluation;
  Html text = html("<strong>{}</strong> record{}", count(view.summary.all.records),
                   Html{view.summary.all.records == 1 ? "" : "s"});
  if (!evaluation.groups.empty()) {
    text += html(" in {} group{} by {}", count(evaluation.groups.size()),
                 Html{evaluation.groups.size() == 1 ? "" : "s"}, evaluation.group_by);
  }
  if (view.systems() == 1) return text + html(", answered by <strong>{}</strong>.", view.name(0));
  return text + html(", answered by {} systems. Differences are to <strong>{}</strong>.",
                     count(view.systems()), view.reference_name());
}

/// Returns how much of the reference's quality a system keeps, by the first metric that the
/// reference has any of.
std::optional<KeyFigure> kept_quality(const EvaluationView& view, std::size_t system) {
  for (const Metric* metric : headlines(view)) {
    if (metric->unit != Metric::Unit::fraction) continue;
    const auto& systems = view.summary.all.systems;
    const MetricSummary* own = systems[system].find(*metric);
    const MetricSummary* whole = systems[view.evaluation.reference_system].find(*metric);
    if (own == nullptr || whole == nullptr || !(whole->interval.value > 0)) continue;
    const double kept = own->interval.value / whole->interval.value;
    return KeyFigure{number(kept, Quantity::percent) + Html{" %"},
                     fmt::format("of the {} of {} kept by {}", metric->heading,
                                 view.reference_name(), view.name(system))};
  }
  return std::nullopt;
}

Html from_to(double from, double to, Quantity quantity) {
  return number(from, quantity) + Html{" → "} + number(to, quantity);
}

/// Says how much of the reference's quality the first gist keeps, and what it saves; says nothing
/// where an evaluation has no gist.
Html headline_of(const EvaluationView& view) {
  const std::vector<SystemResults>& systems = view.evaluation.systems;
  const SystemResults& whole = systems[view.evaluation.reference_system];
  const auto gist = std::find_if(systems.begin(), systems.end(), [](const SystemResults& each) {
    return !each.system.model.empty() && each.system.baseline.empty() &&
           each.system.condition == Condition::gist;
  });
  if (gist == systems.end() || whole.system.condition != Condition::pos) return {};
  std::vector<KeyFigure> figures;
  const auto index = static_cast<std::size_t>(gist - systems.begin());
  if (auto quality = kept_quality(view, index)) figures.push_back(std::move(*quality));
  const SystemCost full = cost_of(whole), own = cost_of(*gist);
  figures.push_back({from_to(full.kept_tokens, own.kept_tokens, Quantity::count),
                     "tokens of a prompt that answers see"});
  figures.push_back(
      {from_to(full.prompt_bytes, own.prompt_bytes, Quantity::bytes), "stored of a prompt"});
  return key_figures(figures);
}

std::string in_words(const SystemDescription& system) {
  if (system.model.empty()) return "given completions";
  std::string words = fmt::format("{}, condition {}, k = {}", system.model,
                                  name_of(system.condition), system.gist_tokens);
  if (!system.baseline.empty()) words += ", baseline " + system.baseline;
  if (!system.store.empty()) words += ", store " + system.store;
  return words;
}

PageSection provenance_of_evaluation(const EvaluationView& view, const Provenance& provenance) {
  PageSection section = provenance_section(provenance);
  std::vector<Fact> facts;
  for (const SystemResults& each : view.evaluation.systems) {
    facts.push_back({each.system.name, in_words(each.system)});
  }
  const BootstrapOptions& bootstrap = view.summary.bootstrap;
  section.body += Html{"<h3>Systems</h3>\n"} + facts_html(facts);
  section.body += html(
      "<p class=\"note\">Intervals: {:g} % confidence, percentiles of {} bootstrap resamples of "
      "the records (seed {}), the same for all systems; of exact match Wilson's.</p>\n",
      100 * bootstrap.confidence, bootstrap.resamples, bootstrap.seed);
  return section;
}

/// Embeds the files that --json and --tsv print; without groups where these are so many that the
/// page would be large.
Html files_of(const Evaluation& evaluation, const EvaluationSummary& summary,
              const std::optional<CostReport>& cost) {
  constexpr std::size_t most_group_systems = 64;
  EvaluationSummary kept = summary;
  if (summary.groups.size() * evaluation.systems.size() > most_group_systems) kept.groups.clear();
  return files_html(
      {{"evaluation.json", "application/json", json_report(evaluation, kept, cost)},
       {"evaluation.tsv", "text/tab-separated-values", tsv_report(evaluation, kept)}});
}

/// Adds a section, unless there is nothing in it.
void add(Page& page, const char* id, const char* heading, const Html& body) {
  if (!body.empty()) page.sections.push_back({id, heading, body});
}

/// Charts below a note on what they show.
Html charts(const std::vector<Html>& all, const std::string& note) {
  if (all.empty()) return {};
  return (note.empty() ? Html{} : html("<p class=\"note\">{}</p>\n", note)) + chart_row(all);
}

}  // namespace

Quantity quantity_of(const Metric& metric) {
  switch (metric.unit) {
    case Metric::Unit::fraction:
      return Quantity::percent;
    case Metric::Unit::nats:
      return Quantity::nats;
    case Metric::Unit::number:
      break;
  }
  return Quantity::number;
}

std::string title_of(const Metric& metric) {
  std::string title = metric.heading;
  if (!title.empty() && title[0] >= 'a' && title[0] <= 'z')
    title[0] = static_cast<char>(title[0] - 'a' + 'A');
  return title;
}

std::vector<const Metric*> measured(const EvaluationView& view) {
  std::vector<const Metric*> metrics;
  for (const Metric& metric : evaluation_metrics()) {
    const auto& systems = view.summary.all.systems;
    const bool any = std::any_of(systems.begin(), systems.end(), [&](const SystemSummary& system) {
      return system.find(metric) != nullptr;
    });
    if (any) metrics.push_back(&metric);
  }
  return metrics;
}

std::vector<const Metric*> headlines(const EvaluationView& view) {
  std::vector<const Metric*> metrics = measured(view);
  std::erase_if(metrics, [](const Metric* metric) { return !metric->headline; });
  return metrics;
}

std::string evaluation_page(const Evaluation& evaluation, const EvaluationSummary& summary,
                            const std::optional<CostReport>& cost, const Provenance& provenance) {
  const EvaluationView view{evaluation, summary, costs_of(evaluation)};
  Page page{"Evaluation of " + evaluation.data, lead(view), {}, headline_of(view)};
  add(page, "systems", "Systems", systems_table(view));
  add(page, "quality", "Quality", charts(quality_charts(view), quality_note(view)));
  add(page, "gist-tokens", "Quality against k", charts(gist_token_charts(view), gist_token_note));
  if (!summary.groups.empty()) {
    add(page, "groups", "By group", charts(group_charts(view), "") + groups_table(view));
  }
  if (!view.costs.empty()) {
    add(page, "cost", "Cost", charts(cost_charts(view), "") + costs_table(view));
  }
  if (cost) add(page, "caching", "Cost by what is cached", caching_costs(*cost));
  add(page, "compression", "Compression", charts(compression_charts(view), compression_note(view)));
  add(page, "fidelity", "Fidelity", charts(fidelity_charts(view), fidelity_note(view)));
  add(page, "metrics", "All metrics", metrics_table(view));
  add(page, "samples", "Samples", samples(view));
  page.sections.push_back(provenance_of_evaluation(view, provenance));
  page.sections.back().body += files_of(evaluation, summary, cost);
  return page_html(page, provenance.version);
}

}  // namespace gist

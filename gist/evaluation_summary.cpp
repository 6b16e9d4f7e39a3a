#include "gist/evaluation_summary.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "core/quality/holm.h"
#include "core/quality/wilson_interval.h"

namespace gist {
namespace {

using Unit = Metric::Unit;
using Form = Metric::Form;

double one(const RecordResult&) {
  return 1;
}
double labels(const RecordResult& result) {
  return result.loss.labels;
}
double loss(const RecordResult& result) {
  return result.loss.sum;
}
double compared(const RecordResult& result) {
  return result.fidelity.labels;
}

constexpr auto metrics = std::to_array<Metric>({
    {"exact_match", "exact match", Unit::fraction, true, true, Form::share,
     [](const RecordResult& r) { return r.scores.exact ? 1.0 : 0.0; }, one},
    {"f1", "token F1", Unit::fraction, true, false, Form::ratio,
     [](const RecordResult& r) { return r.scores.f1; }, one},
    {"rouge1", "ROUGE-1", Unit::fraction, true, false, Form::ratio,
     [](const RecordResult& r) { return r.scores.rouge.rouge1.f; }, one},
    {"rouge1_precision", "", Unit::fraction, true, false, Form::ratio,
     [](const RecordResult& r) { return r.scores.rouge.rouge1.precision; }, one},
    {"rouge1_recall", "", Unit::fraction, true, false, Form::ratio,
     [](const RecordResult& r) { return r.scores.rouge.rouge1.recall; }, one},
    {"rouge2", "ROUGE-2", Unit::fraction, true, false, Form::ratio,
     [](const RecordResult& r) { return r.scores.rouge.rouge2.f; }, one},
    {"rouge2_precision", "", Unit::fraction, true, false, Form::ratio,
     [](const RecordResult& r) { return r.scores.rouge.rouge2.precision; }, one},
    {"rouge2_recall", "", Unit::fraction, true, false, Form::ratio,
     [](const RecordResult& r) { return r.scores.rouge.rouge2.recall; }, one},
    {"rougeL", "ROUGE-L", Unit::fraction, true, true, Form::ratio,
     [](const RecordResult& r) { return r.scores.rouge.rougeL.f; }, one},
    {"rougeL_precision", "", Unit::fraction, true, false, Form::ratio,
     [](const RecordResult& r) { return r.scores.rouge.rougeL.precision; }, one},
    {"rougeL_recall", "", Unit::fraction, true, false, Form::ratio,
     [](const RecordResult& r) { return r.scores.rouge.rougeL.recall; }, one},
    {"rougeLsum", "ROUGE-Lsum", Unit::fraction, true, false, Form::ratio,
     [](const RecordResult& r) { return r.scores.rouge.rougeLsum.f; }, one},
    {"rougeLsum_precision", "", Unit::fraction, true, false, Form::ratio,
     [](const RecordResult& r) { return r.scores.rouge.rougeLsum.precision; }, one},
    {"rougeLsum_recall", "", Unit::fraction, true, false, Form::ratio,
     [](const RecordResult& r) { return r.scores.rouge.rougeLsum.recall; }, one},
    {"numbers_copied", "numbers copied", Unit::fraction, true, false, Form::ratio,
     [](const RecordResult& r) { return static_cast<double>(r.scores.copied.numbers_copied); },
     [](const RecordResult& r) { return static_cast<double>(r.scores.copied.numbers); }},
    {"names_copied", "names copied", Unit::fraction, true, false, Form::ratio,
     [](const RecordResult& r) { return static_cast<double>(r.scores.copied.names_copied); },
     [](const RecordResult& r) { return static_cast<double>(r.scores.copied.names); }},
    {"words", "words an answer", Unit::number, true, false, Form::ratio,
     [](const RecordResult& r) { return static_cast<double>(r.scores.words); }, one},
    {"loss", "loss", Unit::nats, false, true, Form::ratio, loss, labels},
    {"perplexity", "perplexity", Unit::number, false, false, Form::exponential, loss, labels},
    {"divergence", "KL divergence", Unit::nats, false, false, Form::ratio,
     [](const RecordResult& r) { return r.fidelity.divergence; }, compared},
    {"agreement", "top-1 agreement", Unit::fraction, true, false, Form::ratio,
     [](const RecordResult& r) { return static_cast<double>(r.fidelity.agreements); }, compared},
});

/// A metric of one system's records.
struct Sums {
  const Metric* metric = nullptr;
  std::vector<double> sums, weights;  // no weights where each is 1
  double weight = 0;

  Sums(const Metric& of, const SystemResults& system, const std::vector<std::size_t>& records)
      : metric(&of) {
    for (const std::size_t record : records) {
      sums.push_back(of.sum(system.records[record]));
      weights.push_back(of.weight(system.records[record]));
      weight += weights.back();
    }
    if (of.weight == one) weights.clear();
  }
  RatioOfSums ratio() const { return {sums, weights}; }
};

void raise_to(ConfidenceInterval& interval) {
  for (double* each : {&interval.value, &interval.low, &interval.mid, &interval.high}) {
    *each = std::exp(*each);
  }
}

void use_wilson(const Sums& of, double confidence, ConfidenceInterval& interval) {
  const ShareInterval share = wilson_interval(interval.value, of.sums.size(), confidence);
  interval.low = share.low;
  interval.high = share.high;
}

/// The metrics that were measured of a system.
std::vector<Sums> measured(const SystemResults& system, const std::vector<std::size_t>& records) {
  std::vector<Sums> result;
  for (const Metric& metric : metrics) {
    Sums sums(metric, system, records);
    if (sums.weight > 0) result.push_back(std::move(sums));
  }
  return result;
}

std::vector<MetricSummary> intervals_of(const std::vector<Sums>& of,
                                        const BootstrapOptions& bootstrap) {
  std::vector<RatioOfSums> ratios;
  ratios.reserve(of.size());
  for (const Sums& sums : of) ratios.push_back(sums.ratio());
  const std::vector<ConfidenceInterval> intervals = bootstrap_ratios(ratios, bootstrap);
  std::vector<MetricSummary> result;
  for (std::size_t i = 0; i < of.size(); ++i) {
    result.push_back({of[i].metric, intervals[i], std::nullopt, 1});
    if (of[i].metric->form == Form::exponential) raise_to(result.back().interval);
    if (of[i].metric->form == Form::share)
      use_wilson(of[i], bootstrap.confidence, result.back().interval);
  }
  return result;
}

void adjust(const std::vector<MetricSummary*>& compared) {
  std::vector<double> p;
  p.reserve(compared.size());
  for (const MetricSummary* each : compared) p.push_back(each->to_reference->p);
  const std::vector<double> adjusted = holm_adjusted(p);
  for (std::size_t i = 0; i < compared.size(); ++i) compared[i]->adjusted_p = adjusted[i];
}

void add_differences(const std::vector<Sums>& of, const std::vector<Sums>& reference,
                     const BootstrapOptions& bootstrap, std::vector<MetricSummary>& summaries) {
  std::vector<RatioOfSums> ratios, others;
  std::vector<MetricSummary*> compared;
  for (std::size_t i = 0; i < of.size(); ++i) {
    const auto other = std::find_if(reference.begin(), reference.end(),
                                    [&](const Sums& each) { return each.metric == of[i].metric; });
    // The difference of an exponential would be one of logarithms: that of the loss.
    if (other == reference.end() || of[i].metric->form == Form::exponential) continue;
    ratios.push_back(of[i].ratio());
    others.push_back(other->ratio());
    compared.push_back(&summaries[i]);
  }
  const std::vector<Difference> differences =
      bootstrap_ratio_differences(ratios, others, bootstrap);
  for (std::size_t i = 0; i < compared.size(); ++i) compared[i]->to_reference = differences[i];
  adjust(compared);
}

GroupSummary summary_of(const Evaluation& evaluation, const std::vector<std::size_t>& records,
                        const BootstrapOptions& bootstrap) {
  GroupSummary group;
  group.records = records.size();
  const std::vector<Sums> reference =
      measured(evaluation.systems[evaluation.reference_system], records);
  for (std::size_t i = 0; i < evaluation.systems.size(); ++i) {
    const SystemResults& results = evaluation.systems[i];
    SystemSummary& system = group.systems.emplace_back();
    for (const std::size_t record : records) {
      system.label_tokens += results.records[record].loss.labels;
    }
    const std::vector<Sums> sums = measured(results, records);
    system.metrics = intervals_of(sums, bootstrap);
    if (i != evaluation.reference_system)
      add_differences(sums, reference, bootstrap, system.metrics);
  }
  return group;
}

}  // namespace

Verdict verdict_on(const MetricSummary& summary, double confidence) {
  const Metric& metric = *summary.metric;
  const bool says_what_is_better =
      metric.unit != Metric::Unit::number || metric.form == Form::exponential;
  if (!says_what_is_better || !summary.to_reference) return Verdict::none;
  if (!(summary.adjusted_p < 1 - confidence)) return Verdict::none;
  const bool greater = summary.to_reference->interval.value > 0;
  return greater == metric.higher_is_better ? Verdict::better : Verdict::worse;
}

std::span<const Metric> evaluation_metrics() {
  return metrics;
}

const MetricSummary* SystemSummary::find(const Metric& metric) const {
  const auto found = std::find_if(metrics.begin(), metrics.end(), [&](const MetricSummary& each) {
    return each.metric == &metric;
  });
  return found == metrics.end() ? nullptr : &*found;
}

EvaluationSummary summarise(const Evaluation& evaluation, const BootstrapOptions& bootstrap) {
  std::vector<std::size_t> all;
  std::vector<std::vector<std::size_t>> groups(evaluation.groups.size());
  for (std::size_t i = 0; i < evaluation.records.size(); ++i) {
    all.push_back(i);
    if (!groups.empty()) groups[evaluation.records[i].group].push_back(i);
  }
  EvaluationSummary summary;
  summary.bootstrap = bootstrap;
  summary.all = summary_of(evaluation, all, bootstrap);
  for (std::size_t i = 0; i < groups.size(); ++i) {
    summary.groups.push_back(summary_of(evaluation, groups[i], bootstrap));
    summary.groups.back().name = evaluation.groups[i];
  }
  return summary;
}

}  // namespace gist

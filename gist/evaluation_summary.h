// An evaluation in numbers: each metric of each system, over all records and by group, with
// confidence intervals and differences to the reference system.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/quality/bootstrap.h"
#include "gist/evaluation.h"

namespace gist {

/// A metric is a ratio of sums over records: the mean of a value a record, or, say, loss over
/// label tokens.
struct Metric {
  const char* key;      // in JSON and TSV: "exact_match"
  const char* heading;  // for people: "exact match"
  enum class Unit : std::uint8_t {
    fraction,
    number,
    nats
  } unit;  // a fraction is shown in per cent
  bool higher_is_better;
  bool headline;  // also shown by group
  enum class Form : std::uint8_t {
    ratio,
    share,       // of records that are right or wrong each: its interval is Wilson's
    exponential  // e to the ratio: perplexity
  } form;
  double (*sum)(const RecordResult&);
  double (*weight)(const RecordResult&);
};
std::span<const Metric> evaluation_metrics();

struct MetricSummary {
  const Metric* metric = nullptr;
  ConfidenceInterval interval;
  std::optional<Difference> to_reference;  // of other systems than the reference
  /// The difference's p, adjusted for all metrics of the system that are compared (Holm's method).
  double adjusted_p = 1;
};

enum class Verdict : std::uint8_t { none, better, worse };
/// Whether a system surely differs from the reference in a metric that says what is better: where
/// the adjusted p is below 1 - confidence.
Verdict verdict_on(const MetricSummary& summary, double confidence);

/// The metrics of one system on some records. Those that were not measured, or that no record bears
/// on, are missing.
struct SystemSummary {
  std::int64_t label_tokens = 0;
  std::vector<MetricSummary> metrics;
  const MetricSummary* find(const Metric& metric) const;
};

struct GroupSummary {
  std::string name;  // "" for all
  std::uint64_t records = 0;
  std::vector<SystemSummary> systems;  // as Evaluation::systems
};

struct EvaluationSummary {
  GroupSummary all;
  std::vector<GroupSummary> groups;
  BootstrapOptions bootstrap;
};

EvaluationSummary summarise(const Evaluation& evaluation, const BootstrapOptions& bootstrap);

}  // namespace gist

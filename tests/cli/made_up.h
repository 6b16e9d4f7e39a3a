// Evaluations and training runs that nobody made: for tests of pages, and to look at.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "cli/report/provenance.h"
#include "gist/evaluation.h"
#include "gist/evaluation_cost.h"

namespace gist {

struct MadeUpOptions {
  std::size_t records = 60;
  std::size_t groups = 3;  // 0: none
  bool several_k = true;   // gist and a baseline with k of 1, 2, 4 and 10; else k of 1 alone
  bool fidelity = true;
};

/// Systems pos (the reference), gist, neg and a baseline that answer word tasks. The same options
/// give the same evaluation.
Evaluation made_up_evaluation(const MadeUpOptions& options);

/// One system without a model, and texts that try to break a page.
Evaluation hostile_evaluation();

/// The report has three ways of caching.
CostReport made_up_cost();

Provenance made_up_provenance();

/// The line of metrics.jsonl that says how records were answered after a step: each third answer
/// was cut.
std::string samples_line(std::int64_t step, const std::vector<EvaluationRecord>& records,
                         const std::vector<std::string>& completions);

/// The metrics.jsonl of a run with `steps` steps, evaluated `evaluations` times, with samples.
std::string made_up_metrics(std::size_t steps, std::size_t evaluations);

}  // namespace gist

// `gist evaluate --report`: an evaluation as a page.
#pragma once

#include <optional>
#include <string>

#include "cli/report/provenance.h"
#include "gist/evaluation.h"
#include "gist/evaluation_cost.h"
#include "gist/evaluation_summary.h"

namespace gist {

/// The whole page. Numbers are those of the JSON report: rounded to be read, exact in <data>
/// elements. Of long evaluations it shows a part of the groups, records and points, and says so:
/// its size is bounded, about a megabyte.
std::string evaluation_page(const Evaluation& evaluation, const EvaluationSummary& summary,
                            const std::optional<CostReport>& cost, const Provenance& provenance);

}  // namespace gist

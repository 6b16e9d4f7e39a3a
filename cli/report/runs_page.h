// Several training runs side by side, as a page.
#pragma once

#include <string>
#include <vector>

#include "cli/report/provenance.h"
#include "cli/report/training_charts.h"

namespace gist {

/// The whole page. Each run has a name of its own, and one step at least.
std::string runs_page(const std::vector<NamedMetrics>& runs, const Provenance& provenance);

}  // namespace gist

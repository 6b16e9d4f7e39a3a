// This file prints what answers cost (gist/evaluation_cost.h): as a table for people, as JSON for
// programs.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "gist/evaluation_cost.h"

namespace gist {

nlohmann::ordered_json to_json(const CostReport& report);
/// The table is at most 80 columns wide.
std::string cost_table(const CostReport& report);

}  // namespace gist

// What answers cost (gist/evaluation_cost.h), for people, as a table, and for programs, as JSON.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "gist/evaluation_cost.h"

namespace gist {

nlohmann::ordered_json to_json(const CostReport& report);
/// At most 80 columns wide.
std::string cost_table(const CostReport& report);

}  // namespace gist

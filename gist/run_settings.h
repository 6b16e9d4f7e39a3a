// Settings that decided the results of a run are kept with what it has done: a run that resumes it
// must agree with them.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace gist {

/// The first setting of `now` that isn't what it was: `with seed 1, and this run has 2 (--seed)`, or
/// `with another store (--store)` where a value is too long to be read. "" where all agree. Settings
/// go by the names of the command line's options. A setting that is null is one that wasn't given; an
/// older gist may not have kept it.
std::string settings_difference(const nlohmann::json& before, const nlohmann::ordered_json& now);

/// A setting of several names; null for none.
nlohmann::ordered_json setting_of_names(const std::vector<std::string>& names);

}  // namespace gist

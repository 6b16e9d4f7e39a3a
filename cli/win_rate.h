// Blinded comparisons (gist/win_rate.h): the files for a judge, and what the verdicts say, for people
// and for programs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/options.h"
#include "gist/win_rate.h"

namespace gist {

/// --win-rate, --verdicts.
std::vector<OptionSpec> win_rate_options();

/// Writes, in the order of blinded_pairs, a line for each pair:
///   {"pair", "instruction", "input", "a", "b"}
/// of which one of a and b is the system's completion and the other the reference's; and PATH.key, a
/// line for each pair: {"pair", "system", "reference", "system_is": "a" or "b"}.
void write_pairs(const Evaluation& evaluation, const std::string& path, std::uint64_t seed);

std::string win_rate_table(const std::vector<WinRate>& rates);
/// {"win_rates": [{"system", "reference", "wins", "ties", "losses", "win_rate", "interval"}]}
std::string win_rate_json(const std::vector<WinRate>& rates);

}  // namespace gist

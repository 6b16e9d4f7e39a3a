// Blinded comparisons: pairs of completions for a judge who doesn't know whose is whose, and what
// the judge's verdicts say (Mu, Li and Goodman 2023, section 4.2).
#pragma once

#include <string>
#include <vector>

#include "cli/options.h"
#include "core/quality/bootstrap.h"
#include "gist/evaluation.h"

namespace gist {

/// --win-rate, --verdicts.
std::vector<OptionSpec> win_rate_options();

/// Writes, in a random order, a line for each record and each system but the reference:
///   {"pair", "instruction", "input", "a", "b"}
/// of which one of a and b, by lot, is the system's completion and the other the reference's; and
/// PATH.key, a line for each pair: {"pair", "system", "reference", "system_is": "a" or "b"}.
void write_pairs(const Evaluation& evaluation, const std::string& path, std::uint64_t seed);

/// How often the judge preferred a system to the reference.
struct WinRate {
  std::string system, reference;
  std::uint64_t wins = 0, ties = 0, losses = 0;
  ConfidenceInterval rate;  // wins and half of the ties, of all verdicts; its ends are Wilson's
};

/// Verdicts are lines {"pair", "verdict": "a", "b" or "tie"}; the key is what write_pairs wrote.
/// Systems come in the order in which the key first names them. Throws Error(data), naming the
/// line, for a verdict that is none, of an unknown pair, or given twice, and where pairs lack a
/// verdict, which `partial` allows.
std::vector<WinRate> win_rates(const std::string& verdicts, const std::string& key, bool partial,
                               const BootstrapOptions& bootstrap);

std::string win_rate_table(const std::vector<WinRate>& rates);
/// {"win_rates": [{"system", "reference", "wins", "ties", "losses", "win_rate", "interval"}]}
std::string win_rate_json(const std::vector<WinRate>& rates);

}  // namespace gist

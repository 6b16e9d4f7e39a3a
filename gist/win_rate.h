// Blinded comparisons: pairs of completions for a judge who doesn't know whose is whose, and what
// the judge's verdicts say (Mu, Li and Goodman 2023, section 4.2).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/quality/bootstrap.h"
#include "gist/evaluation.h"

namespace gist {

/// A system's completion of a record beside the reference's.
struct BlindedPair {
  std::size_t system = 0;    // index into Evaluation::systems
  std::size_t record = 0;    // and into Evaluation::records
  bool system_is_a = false;  // the first of the two, by lot
};
/// A pair for each record and each system but the reference, in an order and with lots that depend
/// on the seed alone.
std::vector<BlindedPair> blinded_pairs(const Evaluation& evaluation, std::uint64_t seed);

/// WinRate says how often the judge preferred a system to the reference.
struct WinRate {
  std::string system, reference;
  std::uint64_t wins = 0, ties = 0, losses = 0;
  ConfidenceInterval rate;  // wins and half of the ties, of all verdicts; its ends are Wilson's
};

/// Both are paths. Verdicts are lines {"pair", "verdict": "a", "b" or "tie"}, the key has a line
/// for each pair: {"pair", "system", "reference", "system_is": "a" or "b"}; a pair is its number.
/// Systems come in the order in which the key first names them. Throws Error(data), naming the
/// line, for a verdict that is none, of an unknown pair, or given twice, and where pairs lack a
/// verdict, which `partial` allows.
std::vector<WinRate> win_rates(const std::string& verdicts, const std::string& key, bool partial,
                               const BootstrapOptions& bootstrap);

}  // namespace gist

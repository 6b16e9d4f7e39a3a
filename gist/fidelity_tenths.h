// This file tells what a KL divergence means for a model. It puts records into tenths by how near
// their answers are to the reference's, and tells how many of each tenth are answered alike, and
// the bound that follows for compress --max-kl.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "gist/evaluation.h"

namespace gist {

/// A tenth of some records: those with the next larger divergences.
struct FidelityTenth {
  std::size_t records = 0;
  double max_kl = 0;     // the largest divergence among them, in nats a label
  double agreement = 0;  // share of labels with the same first choice
  double same = 0;       // share of records with the same first choice at every label
  double exact = 0;      // share of records whose completion is the given answer
};

struct FidelityTenths {
  std::vector<FidelityTenth> tenths;  // the nearest first; fewer where there are fewer records
  /// The largest divergence at which 9 of 10 records still have the same first choice at every
  /// label, where the share of those is fitted to fall as divergences grow (isotonic regression);
  /// nothing where it would let less than a tenth of the records through, or there are fewer than
  /// 20.
  std::optional<double> suggested;
  std::size_t kept = 0;  // records up to it
  double kept_same = 0;  // the share of them that is answered alike
};

/// The tenths of the records whose fidelity was measured.
FidelityTenths fidelity_tenths(std::span<const RecordResult> records);

}  // namespace gist

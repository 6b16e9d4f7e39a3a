// This file tells what answers cost with nothing, the instruction or its gist cached: counted, and
// measured on this machine.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/answer_times.h"
#include "core/cost.h"
#include "gist/evaluation_system.h"

namespace gist {

/// CachingCost is what one way of caching costs, over the same records.
struct CachingCost {
  Caching caching = Caching::none;
  double read_tokens = 0;  // a record
  AnswerFlops flops;       // sums over the records
  FlopsByOp storing;       // of computing once what is stored; likewise
  StorageCost storage;
  AnswerTimes times;
  double storing_seconds = 0;  // a prompt; 0 where nothing is stored

  std::int64_t records = 0;     // of the sums
  Flops reading_flops() const;  // a record
  Flops storing_flops() const;  // a prompt
};

struct CostReport {
  std::string model;
  std::int64_t records = 0;        // that FLOPs and bytes are counted of
  std::int64_t timed_records = 0;  // some of them, evenly spread
  std::int32_t timed_tokens = 0;   // of each timed answer
  std::vector<CachingCost> ways;   // first: nothing is cached
  /// Returns after how many uses of a prompt its storing has paid, by FLOPs (visible) and by
  /// seconds.
  std::optional<std::int64_t> uses_by_flops(const CachingCost& way) const;
  std::optional<std::int64_t> uses_by_time(const CachingCost& way) const;
};

/// The cost of a system under gist that reads whole records; `model` is it, loaded. Answers are as
/// long as the references, and have at most `generation`'s tokens. Of many records some are
/// counted, and fewer timed, evenly spread; so many that timing takes about a minute, one at least.
/// The events hear before it begins how long that will be. Nothing where they asked to stop.
std::optional<CostReport> measure_cost(const EvaluatedSystem& system,
                                       const std::vector<EvaluationItem>& items, const Model& model,
                                       const GenerationOptions& generation,
                                       const EvaluationEvents& events);

}  // namespace gist

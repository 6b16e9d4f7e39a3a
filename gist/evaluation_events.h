// These events are what an evaluation tells its caller while it runs.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "gist/run_events.h"

namespace gist {

class EvaluatedSystem;
struct LoadedModel;

/// The pieces that a system's records are measured in.
enum class EvaluationPhase : std::uint8_t {
  loss,        // records
  completion,  // records
  comparison,  // records, with the reference
  prediction,  // records, of which the likeliest tokens are kept
  cost,        // ways of caching
};

/// EvaluationProgress says what is done of a phase. It is told once with nothing done, and then as
/// pieces are done; a phase ends where all are.
struct EvaluationProgress {
  EvaluationPhase phase = EvaluationPhase::loss;
  std::string system;  // its name
  std::uint64_t done = 0;
  std::uint64_t total = 0;
};

/// CostTiming says what measuring the cost is about to do, and how long it will take.
struct CostTiming {
  std::int64_t records = 0;          // that FLOPs are counted of
  std::uint64_t records_in_all = 0;  // of the evaluation
  std::int64_t timed_records = 0;
  std::int32_t timed_tokens = 0;  // of each timed answer
  std::uint64_t ways = 0;         // of caching
  double seconds = 0;             // in all
};

/// Each function may be empty. All are called on the thread that called the library.
struct EvaluationEvents {
  /// run.stop_requested is asked between batches. What a phase that ends early leaves is half
  /// measured: it is nothing to summarise.
  RunEvents run = {};
  /// A system's weights are about to be loaded; then that they are, and on what.
  std::function<void(const EvaluatedSystem& system)> loading = {};
  std::function<void(const EvaluatedSystem& system, const LoadedModel& loaded)> loaded = {};
  std::function<void(const EvaluationProgress& progress)> progress = {};
  std::function<void(const CostTiming& timing)> cost_timing = {};

  void tell(const EvaluationProgress& done) const {
    if (progress) progress(done);
  }
};

}  // namespace gist

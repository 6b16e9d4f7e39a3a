// These events are what a run that compresses into a store tells its caller.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "formats/store/staging.h"
#include "gist/run_events.h"

namespace gist {

class Compressor;

/// CompressStep names what a run must finish once it has begun: a batch, from its computation until
/// it is durable, and writing the store.
enum class CompressStep : std::uint8_t { batch, publishing };

/// Each function may be empty. All are called on the thread that called the library.
struct CompressEvents {
  /// `stop_requested` is asked between records and between batches.
  RunEvents run = {};
  /// The model is loaded, and the first batch comes next. It is not called where the store was
  /// finished before.
  std::function<void(const Compressor& compressor)> started = {};
  /// A step begins, and is done, or ended by an error. `ends` must not throw.
  std::function<void(CompressStep step)> begins = {};
  std::function<void(CompressStep step)> ends = {};
  /// `record` is told what has become of a record, in the order of the input. A stored record is
  /// durable by then. An interrupted run that goes on tells its earlier records again.
  std::function<void(const StagedRecord& record)> record = {};
  /// So many records were staged by an interrupted run, and are told again now. `fraction` of the
  /// input, where it is known, here and below.
  std::function<void(std::uint64_t records, std::optional<double> fraction)> staged_before = {};
  /// So many records are done, at the end of each batch, when all of them were told.
  std::function<void(std::uint64_t records, std::optional<double> fraction)> progress = {};
  /// The input has ended and all its records were told; the store is not written yet.
  std::function<void()> input_done = {};
  /// The run ends before the store is written, and so many records, at least one, stay in the
  /// staging file for a run that resumes.
  std::function<void(std::uint64_t records)> left_staged = {};
};

/// Tells of a step, from its construction to its destruction.
class CompressStepScope {
 public:
  CompressStepScope(const CompressEvents& events, CompressStep step)
      : events_(events), step_(step) {
    if (events_.begins) events_.begins(step_);
  }
  ~CompressStepScope() {
    if (events_.ends) events_.ends(step_);
  }
  CompressStepScope(const CompressStepScope&) = delete;
  CompressStepScope& operator=(const CompressStepScope&) = delete;

 private:
  const CompressEvents& events_;
  CompressStep step_;
};

}  // namespace gist

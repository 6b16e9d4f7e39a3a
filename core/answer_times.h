// This file measures how long answers take, one row after the other, so that each has the machine
// for itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "core/generate.h"

namespace gist {

/// The times of one row, in seconds of a steady clock.
struct AnswerTime {
  double load_seconds = 0;     // until the request was there, with its stored gist
  double prefill_seconds = 0;  // from there to the first new token: the pass over what is read
  double decode_seconds = 0;   // from there to the last
  std::int64_t decode_steps = 0;

  double first_token_seconds() const { return load_seconds + prefill_seconds; }
};

/// Sums and means over rows, of which there must be one at least.
struct AnswerTimes {
  std::vector<AnswerTime> rows;
  std::size_t peak_bytes = 0;  // of the device's memory, weights and cache included

  double prefill_seconds() const;                          // the mean
  double first_token_seconds() const;                      // the mean
  std::optional<double> decode_tokens_per_second() const;  // nothing where no row has two tokens
};

/// Generates the answers to all requests that `next` gives, each until it ends or
/// has options.max_new_tokens; what next() takes is load_seconds. Without ends in the options all
/// have the same number of steps, which makes ways of answering comparable. options.max_rows is not
/// read. options.cache_tokens decides what the cache takes of peak_bytes: give the keys of the
/// longest row, its answer included. The first request is begun twice, and the second time counts:
/// the first touches fresh memory. Errors as generate's.
AnswerTimes time_answers(const Model& model, GenerationOptions options,
                         const std::function<std::optional<GenerationRequest>()>& next);

}  // namespace gist

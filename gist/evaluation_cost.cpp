#include "gist/evaluation_cost.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "core/compress.h"
#include "core/key_value_cache.h"
#include "gist/loaded_model.h"

namespace gist {
namespace {

constexpr std::size_t most_counted_records = 1000;
/// A record is timed only with what is stored of its prompt in memory.
constexpr std::size_t most_timed_records = 16;
constexpr double timing_seconds = 60;

using Items = std::vector<const EvaluationItem*>;

/// Returns at most so many of the items, evenly spread.
Items some_of(const Items& items, std::size_t most) {
  if (items.size() <= most) return items;
  Items result;
  for (std::size_t i = 0; i < most; ++i) result.push_back(items[items.size() * i / most]);
  return result;
}

std::int32_t answer_tokens(const EvaluationItem& item, std::int32_t most) {
  return std::min(most, static_cast<std::int32_t>(item.labels.size()));
}

/// An item's parts: what stands before, of, and after its gist.
RowLengths lengths_of(const EvaluationItem& item, std::int32_t most_new_tokens) {
  const Sequence& sequence = item.context.sequence;
  const Interval gist = sequence.gists.front();
  return {gist.begin, gist.end - gist.begin, sequence.tokens() - gist.end,
          answer_tokens(item, most_new_tokens)};
}

/// TimedRecord is what is asked of a model about a record, and what is stored of its prompt.
struct TimedRecord {
  Sequence sequence;
  Condition condition = Condition::pos;
  std::optional<GistActivations> stored;
  std::int32_t stored_position = 0;
};

TimedRecord timed_record(const EvaluationItem& item, Caching caching, const Model& model,
                         Scratch& scratch) {
  TimedRecord result;
  const Sequence& whole = item.context.sequence;
  if (caching == Caching::none) {
    result.sequence = whole;
    return result;
  }
  const Interval gist = whole.gists.front();
  const auto part = [&](std::int32_t begin, std::int32_t end) {
    return std::vector<std::int32_t>(whole.ids.begin() + begin, whole.ids.begin() + end);
  };
  const Sequence prompt{part(0, gist.end), {gist}};
  const bool all = caching == Caching::instruction;
  const Interval kept{all ? 0 : gist.begin, gist.end};
  const Condition condition = all ? Condition::pos : Condition::gist;
  result.stored = std::move(compress(model, {&prompt, 1}, {&kept, 1}, condition, scratch).front());
  result.stored_position = kept.begin;
  result.sequence.ids = part(gist.end, whole.tokens());
  return result;
}

/// Answers of exactly options.max_new_tokens tokens to each item.
void measure_times(const Items& items, const Model& model, GenerationOptions options,
                   CachingCost& way) {
  using Clock = std::chrono::steady_clock;
  Scratch scratch(model.backend());
  std::vector<TimedRecord> records;
  std::int32_t longest = 0;
  std::chrono::duration<double> storing{};
  // The first is stored twice, and the second time counts: the first touches fresh memory.
  if (way.caching != Caching::none) {
    (void)timed_record(*items.front(), way.caching, model, scratch);
  }
  for (const EvaluationItem* item : items) {
    const Clock::time_point start = Clock::now();
    records.push_back(timed_record(*item, way.caching, model, scratch));
    storing += Clock::now() - start;
    longest = std::max(longest, item->context.sequence.tokens());
  }
  if (way.caching != Caching::none) {
    way.storing_seconds = storing.count() / static_cast<double>(records.size());
  }
  options.ends.clear();  // all answer with the same number of tokens
  options.cache_tokens = longest + options.max_new_tokens;
  std::size_t next = 0;
  way.times = time_answers(model, options, [&]() -> std::optional<GenerationRequest> {
    if (next == records.size()) return std::nullopt;
    const TimedRecord& record = records[next++];
    GenerationRequest request;
    request.sequence = record.sequence;
    request.condition = record.condition;
    request.stored = record.stored ? &*record.stored : nullptr;
    request.stored_position = record.stored_position;
    return request;
  });
}

/// Timing says which records are timed, and how long that will take in all ways.
struct Timing {
  Items items;
  std::int32_t tokens = 1;  // of each answer
  double seconds = 0;
};

/// Plans by the time of the first two tokens of one answer, with nothing cached, and by the ways'
/// FLOPs.
Timing plan_timing(const Items& items, const Model& model, const GenerationOptions& generation,
                   const CostReport& counted) {
  Timing timing{some_of(items, most_timed_records), 1, 0};
  for (const EvaluationItem* item : timing.items) {
    timing.tokens = std::max(timing.tokens, answer_tokens(*item, generation.max_new_tokens));
  }
  GenerationOptions two = generation;
  two.max_new_tokens = std::min(timing.tokens, 2);
  CachingCost probe;
  measure_times({timing.items.front()}, model, two, probe);
  const CachingCost& whole = counted.ways.front();
  const double prefill = probe.times.prefill_seconds() * whole.read_tokens /
                         timing.items.front()->context.sequence.tokens();
  const double step = 1 / probe.times.decode_tokens_per_second().value_or(HUGE_VAL);
  const double flops = static_cast<double>(whole.reading_flops().visible);
  double reading = 0, decoding = 0;  // of one record in all ways
  for (const CachingCost& way : counted.ways) {
    reading += prefill / flops *
               static_cast<double>(way.reading_flops().visible + way.storing_flops().visible);
    decoding += step * (timing.tokens - 1);
  }
  const double once = reading, each = reading + decoding;  // the first is read twice
  const double records = std::max(1.0, std::floor((timing_seconds - once) / each));
  if (records < static_cast<double>(timing.items.size())) {
    timing.items = some_of(items, static_cast<std::size_t>(records));
  }
  timing.seconds = once + each * static_cast<double>(timing.items.size());
  return timing;
}

Flops of_each(const FlopsByOp& sums, std::int64_t records) {
  const Flops all = total(sums);
  return {all.visible / records, all.dense / records};
}

}  // namespace

Flops CachingCost::reading_flops() const {
  return of_each(flops.reading, records);
}
Flops CachingCost::storing_flops() const {
  return of_each(storing, records);
}

std::optional<std::int64_t> CostReport::uses_by_flops(const CachingCost& way) const {
  if (way.caching == Caching::none) return std::nullopt;
  return uses_until_paid(static_cast<double>(way.storing_flops().visible),
                         static_cast<double>(ways.front().reading_flops().visible),
                         static_cast<double>(way.reading_flops().visible));
}

std::optional<std::int64_t> CostReport::uses_by_time(const CachingCost& way) const {
  if (way.caching == Caching::none) return std::nullopt;
  return uses_until_paid(way.storing_seconds, ways.front().times.prefill_seconds(),
                         way.times.prefill_seconds());
}

std::optional<CostReport> measure_cost(const EvaluatedSystem& system,
                                       const std::vector<EvaluationItem>& items, const Model& model,
                                       const GenerationOptions& generation,
                                       const EvaluationEvents& events) {
  Items all;
  for (const EvaluationItem& item : items) all.push_back(&item);
  const Items sample = some_of(all, most_counted_records);
  std::vector<RowLengths> rows;
  for (const EvaluationItem* item : sample) {
    rows.push_back(lengths_of(*item, generation.max_new_tokens));
  }
  CostReport report;
  report.model = system.description().model;
  report.records = std::ssize(sample);
  PlannedModel plan = plan_model(system.files(), family_of(system.files(), system.setup()),
                                 system.setup().compute.dtype);
  for (const Caching caching : {Caching::none, Caching::instruction, Caching::gist}) {
    if (!can_cache(model.spec(), caching)) continue;
    CachingCost way;
    way.caching = caching;
    way.records = report.records;
    for (const RowLengths& row : rows) way.read_tokens += read_tokens(row, caching);
    way.read_tokens /= static_cast<double>(rows.size());
    way.flops = count_answers(plan.model, *plan.backend, rows, caching);
    way.storing = count_compression(plan.model, *plan.backend, rows, caching);
    way.storage = storage_cost(model.spec(), rows, caching, Dtype::f32);
    report.ways.push_back(std::move(way));
  }

  const Timing timing = plan_timing(sample, model, generation, report);
  report.timed_records = std::ssize(timing.items);
  report.timed_tokens = timing.tokens;
  if (events.cost_timing) {
    events.cost_timing({report.records, all.size(), report.timed_records, report.timed_tokens,
                        report.ways.size(), timing.seconds});
  }
  GenerationOptions answering = generation;
  answering.max_new_tokens = timing.tokens;
  EvaluationProgress progress{EvaluationPhase::cost, system.description().name, 0,
                              report.ways.size()};
  events.tell(progress);
  for (CachingCost& way : report.ways) {
    if (events.run.stops()) return std::nullopt;
    measure_times(timing.items, model, answering, way);
    ++progress.done;
    events.tell(progress);
  }
  return report;
}

}  // namespace gist

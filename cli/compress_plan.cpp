#include "cli/compress_plan.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/line_writer.h"
#include "core/compress.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/error.h"

namespace gist {
namespace {

struct Batches {
  std::vector<Sequence> sequences;  // of the batch that is being gathered
  std::vector<Interval> kept;
  std::int32_t tokens = 0;
  std::size_t records = 0;
  std::uint64_t count = 0;
};

void run_batch(Batches& batches, const Model& model, Condition condition, Scratch& scratch) {
  if (!batches.sequences.empty()) {
    compress(model, batches.sequences, batches.kept, condition, scratch);
    ++batches.count;
  }
  batches.sequences.clear();
  batches.kept.clear();
  batches.tokens = 0;
  batches.records = 0;
}

double gib(std::size_t bytes) {
  return static_cast<double>(bytes) / (1 << 30);
}

}  // namespace

void print_compress_plan(PromptReader& prompts, const LeftOutList& left_out,
                         const ModelFiles& files, std::unique_ptr<Family> family,
                         const CompressionTask& task, Dtype store_dtype, const BatchLimits& limits,
                         const Options& options, const Signals& signals) {
  const PlanningEngine engine = plan_engine(files, std::move(family), options);
  Scratch scratch(*engine.backend);
  Batches batches;
  std::uint64_t records = 0, rows = 0, tokens = 0, kept = 0;
  while (const std::optional<Prompt> prompt = prompts.next()) {
    ++records;
    if (!fits(limits, batches.tokens, batches.records, *prompt)) {
      run_batch(batches, engine.model, task.condition, scratch);
    }
    ++batches.records;
    if (prompt->record.status != StagedRecord::Status::stored) continue;
    ++rows;
    tokens += static_cast<std::uint64_t>(prompt->sequence.tokens());
    kept += prompt->record.gist_tokens;
    batches.tokens += prompt->sequence.tokens();
    batches.sequences.push_back(prompt->sequence);
    batches.kept.push_back(prompt->kept);
  }
  if (signals.requested()) signals.end_by_signal();
  run_batch(batches, engine.model, task.condition, scratch);

  const ModelSpec& spec = engine.model.spec();
  const StackSpec& stack = spec.stacks[0];
  const std::size_t token_bytes =
      size_of(store_dtype) *
      static_cast<std::size_t>(stack.layers * (stack.key_width() + stack.value_width()) +
                               spec.d_model);
  const std::size_t peak = engine.backend->memory().peak;
  const std::size_t weights = engine.model.weight_bytes();
  const std::size_t available = make_cpu_backend()->memory().available;
  const nlohmann::ordered_json plan{{"records", records},
                                    {"left_out", left_out.records().size()},
                                    {"rows", rows},
                                    {"tokens", tokens},
                                    {"batches", batches.count},
                                    {"flops", engine.backend->total_flops()},
                                    {"weight_bytes", weights},
                                    {"activation_bytes", peak - std::min(peak, weights)},
                                    {"memory_bytes", peak},
                                    {"available_bytes", available},
                                    {"store_bytes", kept * token_bytes}};
  LineWriter out = standard_output();
  out.line(plan.dump(2));
  out.flush();
  if (peak > available) {
    fail(ErrorKind::unavailable,
         "this needs {:.2f} GiB of memory ({:.2f} for weights, {:.2f} for a batch), and {:.2f} are "
         "available; --dtype bf16 halves the weights, a smaller --batch-tokens the batch",
         gib(peak), gib(weights), gib(peak - std::min(peak, weights)), gib(available));
  }
}

}  // namespace gist

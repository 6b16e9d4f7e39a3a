#include "cli/compress_plan.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/compressor.h"
#include "cli/line_writer.h"
#include "cli/model_options.h"
#include "core/cost.h"
#include "kernels/error.h"

namespace gist {
namespace {

struct Counts {
  std::uint64_t records = 0, rows = 0, checks = 0, tokens = 0, kept_tokens = 0, batches = 0;
};

/// Compresses the prompts in the batches that the session would make.
Counts run_all(PromptReader& prompts, Compressor& compressor, const BatchLimits& limits) {
  Counts counts;
  std::vector<Prompt> batch;
  std::int32_t batch_tokens = 0;
  const auto run_batch = [&] {
    if (!compressor.compress(batch).empty()) ++counts.batches;
    batch.clear();
    batch_tokens = 0;
  };
  while (std::optional<Prompt> prompt = prompts.next()) {
    ++counts.records;
    if (!fits(limits, batch_tokens, batch.size(), *prompt)) run_batch();
    if (prompt->record.status == StagedRecord::Status::stored) {
      ++counts.rows;
      counts.checks += prompt->question ? 1 : 0;
      counts.tokens += static_cast<std::uint64_t>(prompt->sequence.tokens());
      counts.kept_tokens += prompt->record.gist_tokens;
    }
    batch_tokens += prompt->sequence.tokens();
    batch.push_back(std::move(*prompt));
  }
  run_batch();
  return counts;
}

double gib(std::size_t bytes) {
  return static_cast<double>(bytes) / (1 << 30);
}

}  // namespace

void print_compress_plan(PromptReader& prompts, const LeftOutList& left_out,
                         const ModelFiles& files, std::unique_ptr<Family> family,
                         const CompressionTask& task, CheckReference* check, Dtype store_dtype,
                         const BatchLimits& limits, const ModelSetup& setup,
                         const Signals& signals) {
  const PlannedModel planned = plan_model(files, std::move(family), setup.compute.dtype);
  std::optional<PlannedModel> reference;
  std::optional<PromptChecker> checker;
  if (check != nullptr) {
    reference = check->plan(setup.compute.dtype);
    const std::vector<std::int32_t> no_ends;
    checker.emplace(planned.model, reference ? reference->model : planned.model, no_ends,
                    files.tokenizer.gist_token().value_or(-1), limits.tokens, check->task());
  }
  Compressor compressor(planned.model, task, store_dtype, checker ? &*checker : nullptr);
  const Counts counts = run_all(prompts, compressor, limits);
  if (signals.requested()) signals.end_by_signal();

  const std::size_t token_bytes = stored_token_bytes(planned.model.spec(), store_dtype);
  std::size_t peak = planned.backend->memory().peak;
  std::size_t weights = planned.model.weight_bytes();
  std::int64_t flops = planned.backend->total_flops();
  if (reference) {
    peak += reference->backend->memory().peak;
    weights += reference->model.weight_bytes();
    flops += reference->backend->total_flops();
  }
  const std::size_t available = open_backend(setup)->memory().available;
  nlohmann::ordered_json plan{{"records", counts.records},
                              {"left_out", left_out.records().size()},
                              {"rows", counts.rows},
                              {"tokens", counts.tokens},
                              {"batches", counts.batches},
                              {"flops", flops},
                              {"weight_bytes", weights},
                              {"activation_bytes", peak - std::min(peak, weights)},
                              {"memory_bytes", peak},
                              {"available_bytes", available},
                              {"store_bytes", counts.kept_tokens * token_bytes}};
  if (check != nullptr) plan["checks"] = counts.checks;
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

#include "gist/compress_plan.h"

#include <optional>
#include <utility>
#include <vector>

#include "core/cost.h"

namespace gist {
namespace {

/// Compresses the prompts in the batches that the session would make, and counts them. Gives how
/// many tokens the store would keep.
std::uint64_t count_batches(PromptReader& prompts, Compressor& compressor,
                            const BatchLimits& limits, CompressPlan& plan) {
  std::uint64_t kept_tokens = 0;
  std::vector<Prompt> batch;
  std::int32_t batch_tokens = 0;
  const auto run_batch = [&] {
    if (!compressor.compress(batch).empty()) ++plan.batches;
    batch.clear();
    batch_tokens = 0;
  };
  while (std::optional<Prompt> prompt = prompts.next()) {
    ++plan.records;
    if (!fits(limits, batch_tokens, batch.size(), *prompt)) run_batch();
    if (prompt->record.status == StagedRecord::Status::stored) {
      ++plan.rows;
      plan.checks += prompt->question ? 1 : 0;
      plan.tokens += static_cast<std::uint64_t>(prompt->sequence.tokens());
      kept_tokens += prompt->record.gist_tokens;
    }
    batch_tokens += prompt->sequence.tokens();
    batch.push_back(std::move(*prompt));
  }
  run_batch();
  return kept_tokens;
}

void add_costs(const PlannedModel& planned, CompressPlan& plan) {
  plan.memory_bytes += planned.backend->memory().peak;
  plan.weight_bytes += planned.model.weight_bytes();
  plan.flops += planned.backend->total_flops();
}

}  // namespace

CompressPlan plan_compression(PromptReader& prompts, const ModelFiles& files,
                              std::unique_ptr<Family> family, const CompressionTask& task,
                              WholePromptModel* check, Dtype store_dtype, const BatchLimits& limits,
                              Dtype compute) {
  const PlannedModel planned = plan_model(files, std::move(family), compute);
  std::optional<PlannedModel> reference;
  std::optional<PromptChecker> checker;
  if (check != nullptr) {
    reference = check->plan(compute);
    const std::vector<std::int32_t> no_ends;
    checker.emplace(planned.model, reference ? reference->model : planned.model, no_ends,
                    check->gist_ids(files), limits.tokens, check->task());
  }
  Compressor compressor(planned.model, task, store_dtype, checker ? &*checker : nullptr);
  CompressPlan plan;
  const std::uint64_t kept_tokens = count_batches(prompts, compressor, limits, plan);
  plan.store_bytes = kept_tokens * stored_token_bytes(planned.model.spec(), store_dtype);
  add_costs(planned, plan);
  if (reference) add_costs(*reference, plan);
  return plan;
}

}  // namespace gist

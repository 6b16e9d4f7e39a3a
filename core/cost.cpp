#include "core/cost.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/compress.h"
#include "core/generate.h"
#include "kernels/error.h"

namespace gist {
namespace {

constexpr double gib = 1 << 30;

void check(const Model& model, std::span<const RowLengths> rows, Caching caching) {
  const ModelSpec& spec = model.spec();
  if (!can_cache(spec, caching)) {
    fail(ErrorKind::usage,
         "family {} is an encoder-decoder: its encoder's prompt sees the input, so that only gists "
         "can be cached",
         spec.family);
  }
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const RowLengths& row = rows[i];
    const std::int32_t least_gist = caching == Caching::gist ? 1 : 0;
    if (row.prompt < 0 || row.gist < least_gist || row.input < 0 || row.answer < 1) {
      fail(ErrorKind::internal,
           "row {} has {} prompt, {} gist, {} input and {} answer tokens: expected at least 0, {}, "
           "0 and 1",
           i + 1, row.prompt, row.gist, row.input, row.answer, least_gist);
    }
    const std::int64_t tokens =
        std::int64_t{row.prompt} + row.gist + row.input + (spec.encoder_decoder() ? 0 : row.answer);
    if (spec.max_positions > 0 && tokens > spec.max_positions) {
      fail(ErrorKind::data, "record {}: it takes {} tokens, but the model has {} positions", i + 1,
           tokens, spec.max_positions);
    }
  }
}

Sequence tokens_of(std::int32_t count) {
  return {std::vector<std::int32_t>(static_cast<std::size_t>(count)), {}};
}

GistActivations shape_of_stored(const ModelSpec& spec, std::int32_t tokens) {
  GistActivations result;
  result.tokens = tokens;
  result.hidden.resize(static_cast<std::size_t>(tokens) * static_cast<std::size_t>(spec.d_model));
  return result;
}

FlopsByOp flops_of(const CountingBackend& backend) {
  FlopsByOp result;
  for (const auto& [op, cost] : backend.costs()) {
    if (cost.dense_flops > 0) result[op] = {cost.flops, cost.dense_flops};
  }
  return result;
}

/// Adds to sums, or takes away.
void add(FlopsByOp& sums, const FlopsByOp& more, std::int64_t times) {
  for (const auto& [op, flops] : more) {
    Flops& sum = sums[op];
    sum.visible += times * flops.visible;
    sum.dense += times * flops.dense;
  }
  std::erase_if(sums, [](const auto& sum) { return sum.second == Flops{}; });
}

/// Generates the rows' answers, or the first `max_tokens` of each.
void generate_rows(const Model& model, std::span<const RowLengths> rows, Caching caching,
                   std::int32_t max_tokens) {
  GenerationOptions options;
  options.max_new_tokens = max_tokens;
  std::map<std::uint64_t, GistActivations> stored;  // by request, while it runs
  std::size_t begun = 0;
  GenerationEvents events;
  events.next = [&]() -> std::optional<GenerationRequest> {
    if (begun == rows.size()) return std::nullopt;
    const RowLengths& row = rows[begun];
    GenerationRequest request;
    request.sequence = tokens_of(read_tokens(row, caching));
    request.ordinal = begun++;
    if (const std::int32_t tokens = stored_tokens(row, caching); tokens > 0) {
      request.stored =
          &stored.emplace(request.ordinal, shape_of_stored(model.spec(), tokens)).first->second;
      request.stored_position = caching == Caching::gist ? row.prompt : 0;
    }
    return request;
  };
  events.token = [&rows](std::uint64_t request, const std::vector<std::int32_t>& ids) {
    return std::ssize(ids) < rows[request].answer;
  };
  events.done = [&stored](std::uint64_t request, const Completion&) { stored.erase(request); };
  events.interrupted = [] { return false; };
  generate(model, options, events);
}

/// The logits that the engine leaves out.
void compute_further_logits(const Model& model, std::span<const RowLengths> rows, Caching caching) {
  if (model.spec().encoder_decoder()) return;
  std::int64_t further = 0;
  for (const RowLengths& row : rows) further += std::max(0, read_tokens(row, caching) - 1);
  if (further == 0) return;
  Workspace memory(model.backend());
  logits(model, memory.allocate({further, model.spec().d_model}), memory);
}

}  // namespace

std::string_view name_of(Caching caching) {
  switch (caching) {
    case Caching::none:
      return "none";
    case Caching::instruction:
      return "instruction";
    case Caching::gist:
      return "gist";
  }
  return "";
}

bool can_cache(const ModelSpec& spec, Caching caching) {
  return caching != Caching::instruction || !spec.encoder_decoder();
}

std::int32_t stored_tokens(const RowLengths& row, Caching caching) {
  switch (caching) {
    case Caching::none:
      return 0;
    case Caching::instruction:
      return row.prompt + row.gist;
    case Caching::gist:
      return row.gist;
  }
  return 0;
}

std::int32_t read_tokens(const RowLengths& row, Caching caching) {
  return caching == Caching::none ? row.prompt + row.gist + row.input : row.input;
}

Flops total(const FlopsByOp& by_op) {
  Flops sum;
  for (const auto& [op, flops] : by_op) {
    sum.visible += flops.visible;
    sum.dense += flops.dense;
  }
  return sum;
}

AnswerFlops count_answers(const Model& model, CountingBackend& backend,
                          std::span<const RowLengths> rows, Caching caching, LogitRows logit_rows) {
  check(model, rows, caching);
  AnswerFlops result;
  std::int32_t longest = 1;
  for (const RowLengths& row : rows) {
    longest = std::max(longest, row.answer);
    result.decode_steps += row.answer - 1;
  }
  backend.reset_costs();
  generate_rows(model, rows, caching, 1);
  result.reading = flops_of(backend);
  if (longest > 1) {
    backend.reset_costs();
    generate_rows(model, rows, caching, longest);
    result.decoding = flops_of(backend);
    add(result.decoding, result.reading, -1);
  }
  if (logit_rows == LogitRows::every) {
    backend.reset_costs();
    compute_further_logits(model, rows, caching);
    add(result.reading, flops_of(backend), 1);
  }
  return result;
}

FlopsByOp count_compression(const Model& model, CountingBackend& backend,
                            std::span<const RowLengths> rows, Caching caching) {
  check(model, rows, caching);
  backend.reset_costs();
  Scratch scratch(backend);
  for (const RowLengths& row : rows) {
    if (stored_tokens(row, caching) == 0) continue;
    Sequence sequence = tokens_of(row.prompt + row.gist);
    sequence.gists = {{row.prompt, sequence.tokens()}};
    const Interval kept{sequence.tokens() - 1, sequence.tokens()};  // keeping takes no FLOPs
    compress(model, {&sequence, 1}, {&kept, 1},
             caching == Caching::gist ? Condition::gist : Condition::pos, scratch);
  }
  return flops_of(backend);
}

std::size_t stored_token_bytes(const ModelSpec& spec, Dtype dtype) {
  const StackSpec& stack = spec.stacks[0];
  return size_of(dtype) *
         static_cast<std::size_t>(stack.layers * (stack.key_width() + stack.value_width()) +
                                  spec.d_model);
}

StorageCost storage_cost(const ModelSpec& spec, std::span<const RowLengths> rows, Caching caching,
                         Dtype dtype) {
  double prompt = 0, stored = 0;  // tokens
  for (const RowLengths& row : rows) {
    prompt += row.prompt;
    stored += stored_tokens(row, caching);
  }
  StorageCost cost;
  if (stored == 0) return cost;
  cost.prompt_bytes = stored / static_cast<double>(rows.size()) *
                      static_cast<double>(stored_token_bytes(spec, dtype));
  cost.prompts_per_gib = gib / cost.prompt_bytes;
  if (caching == Caching::gist) cost.compression_factor = prompt / stored;
  return cost;
}

std::optional<std::int64_t> uses_until_paid(double once, double without, double with) {
  const double saved = without - with;
  if (!(saved > 0)) return std::nullopt;
  return static_cast<std::int64_t>(std::ceil(once / saved));
}

}  // namespace gist

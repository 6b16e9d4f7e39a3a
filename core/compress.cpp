#include "core/compress.h"

namespace gist {
namespace {

/// Tokens [begin, end) of stacked [layers, tokens, width], tokens outermost.
std::vector<float> tokens_outermost(const std::vector<float>& stacked, std::size_t layers,
                                    std::size_t tokens, std::size_t width, std::size_t begin,
                                    std::size_t end) {
  std::vector<float> result;
  result.reserve((end - begin) * layers * width);
  for (std::size_t token = begin; token < end; ++token) {
    for (std::size_t layer = 0; layer < layers; ++layer) {
      const auto at =
          stacked.begin() + static_cast<std::ptrdiff_t>((layer * tokens + token) * width);
      result.insert(result.end(), at, at + static_cast<std::ptrdiff_t>(width));
    }
  }
  return result;
}

}  // namespace

std::vector<GistActivations> compress(const Model& model, std::span<const Sequence> sequences,
                                      std::span<const Interval> kept, Condition condition,
                                      Scratch& scratch) {
  const StackSpec& stack = model.spec().stacks[0];
  Batch batch;
  PassOptions options;
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    const std::int32_t first = batch.tokens();
    add_sequence(batch, sequences[i], condition, stack.kind);
    for (std::int32_t j = kept[i].begin; j < kept[i].end; ++j) options.capture.push_back(first + j);
  }

  Pass pass(model, batch, options, scratch);
  const Tensor hidden = forward(pass);
  const Pass::Captured& captured = pass.captured();
  const Tensor kept_hidden = pass.lasting().allocate({captured.tokens.shape[0], hidden.shape[1]});
  Backend& backend = model.backend();
  backend.run(ops::GatherRows{.x = hidden, .rows = captured.tokens, .y = kept_hidden});

  const std::vector<float> key = downloaded(backend, captured.key);
  const std::vector<float> value = downloaded(backend, captured.value);
  const std::vector<float> states = downloaded(backend, kept_hidden);

  const auto layers = static_cast<std::size_t>(stack.layers);
  const std::size_t tokens = options.capture.size();
  const auto key_width = static_cast<std::size_t>(stack.key_width());
  const auto value_width = static_cast<std::size_t>(stack.value_width());
  const auto d_model = static_cast<std::size_t>(model.spec().d_model);
  std::vector<GistActivations> results;
  std::size_t begin = 0;
  for (const Interval& interval : kept) {
    const std::size_t end = begin + static_cast<std::size_t>(interval.end - interval.begin);
    GistActivations& result = results.emplace_back();
    result.tokens = interval.end - interval.begin;
    result.key = tokens_outermost(key, layers, tokens, key_width, begin, end);
    result.value = tokens_outermost(value, layers, tokens, value_width, begin, end);
    result.hidden.assign(states.begin() + static_cast<std::ptrdiff_t>(begin * d_model),
                         states.begin() + static_cast<std::ptrdiff_t>(end * d_model));
    begin = end;
  }
  return results;
}

}  // namespace gist

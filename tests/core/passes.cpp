#include "tests/core/passes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "core/cached_row.h"

namespace gist {

double relative_error(std::span<const float> a, std::span<const float> b) {
  EXPECT_EQ(a.size(), b.size());
  double difference = 0;
  double largest = 0;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    const double each = std::abs(static_cast<double>(a[i]) - b[i]);
    difference = each <= difference ? difference : each;  // NaN is the largest difference
    largest = std::max(largest, std::abs(static_cast<double>(b[i])));
  }
  EXPECT_GT(largest, 0);
  return difference / largest;
}

std::vector<std::vector<float>> label_logits(const Model& model,
                                             std::span<const LabelledSequence> sequences,
                                             Scratch& scratch) {
  const Predictions predictions = predict(model, sequences, scratch);
  const Tensor values = logits(model, predictions.hidden, scratch.lasting);
  const auto vocabulary = static_cast<std::size_t>(values.shape[1]);
  std::vector<float> all(static_cast<std::size_t>(values.shape.elements()));
  model.backend().download(values, all.data());
  std::vector<std::vector<float>> results(sequences.size());
  for (std::size_t i = 0; i < predictions.labels.size(); ++i) {
    std::vector<float>& result = results[predictions.sequence[i]];
    result.insert(result.end(), all.begin() + static_cast<std::ptrdiff_t>(i * vocabulary),
                  all.begin() + static_cast<std::ptrdiff_t>((i + 1) * vocabulary));
  }
  return results;
}

std::vector<Completion> complete(const Model& model, const GenerationOptions& options,
                                 const std::vector<GenerationRequest>& requests,
                                 const TokenCallback& token) {
  std::vector<Completion> completions(requests.size());
  std::vector<int> done(requests.size(), 0);
  std::size_t next = 0;
  GenerationEvents events;
  events.next = [&]() -> std::optional<GenerationRequest> {
    if (next == requests.size()) return std::nullopt;
    return requests[next++];
  };
  events.token = [&](std::uint64_t request, const std::vector<std::int32_t>& ids) {
    return !token || token(request, ids);
  };
  events.done = [&](std::uint64_t request, Completion completion) {
    completions.at(request) = std::move(completion);
    ++done.at(request);
  };
  events.interrupted = [] { return false; };
  generate(model, options, events);
  for (std::size_t i = 0; i < requests.size(); ++i) EXPECT_EQ(done[i], 1) << "request " << i;
  return completions;
}

std::vector<std::vector<std::int32_t>> ids_of(const std::vector<Completion>& completions) {
  std::vector<std::vector<std::int32_t>> ids;
  for (const Completion& completion : completions) ids.push_back(completion.ids);
  return ids;
}

GenerationRequest request_for(std::vector<std::int32_t> ids, std::uint64_t ordinal) {
  GenerationRequest request;
  request.sequence.ids = std::move(ids);
  request.ordinal = ordinal;
  return request;
}

std::vector<std::int32_t> random_ids(std::size_t count, std::int32_t vocabulary,
                                     std::uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<std::int32_t> ids(count);
  for (std::int32_t& id : ids) {
    id = static_cast<std::int32_t>(random() % static_cast<std::uint32_t>(vocabulary));
  }
  return ids;
}

GistActivations compress_one(const Model& model, const Sequence& sequence, Scratch& scratch,
                             Condition condition) {
  const Sequence head = head_of(sequence);
  return compress(model, {&head, 1}, {&head.gists[0], 1}, condition, scratch)[0];
}

Sequence head_of(const Sequence& sequence) {
  return {{sequence.ids.begin(), sequence.ids.begin() + sequence.gists[0].end}, sequence.gists};
}

Sequence tail_of(const Sequence& sequence) {
  return {{sequence.ids.begin() + sequence.gists[0].end, sequence.ids.end()}, {}};
}

}  // namespace gist

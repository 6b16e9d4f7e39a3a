#include "core/fidelity.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/forward.h"
#include "kernels/error.h"
#include "kernels/finite.h"

namespace gist {
namespace {

/// Logits of a chunk of rows are about this many.
constexpr std::int64_t chunk_values = std::int64_t{2} << 20;
constexpr std::int64_t min_chunk_rows = 32;  // fewer rows would leave the matrix product slow
constexpr std::int64_t max_chunk_rows = 1024;

std::int32_t vocabulary_of(const ModelSpec& spec) {
  const WeightSpec& head = spec.weights[static_cast<std::size_t>(spec.head.weight)];
  return static_cast<std::int32_t>(head.shape[0]);
}

/// The ids that both models may choose.
struct Choices {
  std::size_t shared = 0;
  GistIds gist_ids = {};
};

/// One model's logits of a chunk of labels, on the host.
class HostLogits {
 public:
  explicit HostLogits(const Model& model) : model_(model), memory_(model.backend()) {}

  void read(const Tensor& hidden) {
    memory_.reset();
    const Tensor device = logits(model_, hidden, memory_);
    vocabulary_ = static_cast<std::size_t>(device.shape[1]);
    values_.resize(static_cast<std::size_t>(device.shape.elements()));
    model_.backend().download(device, values_.data());
  }

  bool finite(std::size_t row) const {
    return !first_not_finite(std::span(values_).subspan(row * vocabulary_, vocabulary_));
  }

  /// Returns those logits of label `row` that count; a gist token can't be chosen.
  std::span<const float> of(std::size_t row, const Choices& choices) {
    const std::span<float> counting = std::span(values_).subspan(row * vocabulary_, choices.shared);
    const GistIds& banned = choices.gist_ids;
    for (std::int32_t id = banned.first; banned.contains(id); ++id) {
      const auto at = static_cast<std::size_t>(id);
      if (at < choices.shared) counting[at] = -std::numeric_limits<float>::infinity();
    }
    return counting;
  }

 private:
  const Model& model_;
  Workspace memory_;
  std::vector<float> values_;  // [rows, vocabulary]
  std::size_t vocabulary_ = 0;
};

/// KL(p || q) of the softmaxes of two rows of logits. With e = exp(logit - peak) and s = sum(e):
/// sum(e_p (p's shifted logit - q's)) / s_p - log s_p + log s_q.
double divergence(std::span<const float> p, std::span<const float> q, double p_peak,
                  double q_peak) {
  double p_sum = 0, q_sum = 0, weighted = 0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    const double p_shifted = p[i] - p_peak;
    const double q_shifted = q[i] - q_peak;
    const double p_each = std::exp(p_shifted);
    p_sum += p_each;
    q_sum += std::exp(q_shifted);
    if (p_each != 0) weighted += p_each * (p_shifted - q_shifted);
  }
  const double result = weighted / p_sum - std::log(p_sum) + std::log(q_sum);
  return std::max(result, 0.0);  // never below, but for rounding
}

void add_label(std::span<const float> reference, std::span<const float> gist, Fidelity& sum) {
  const auto expected = std::max_element(reference.begin(), reference.end());
  const auto found = std::max_element(gist.begin(), gist.end());
  sum.divergence += divergence(reference, gist, *expected, *found);
  ++sum.labels;
  if (expected - reference.begin() == found - gist.begin()) ++sum.agreements;
}

}  // namespace

std::int32_t shared_vocabulary(const ModelSpec& reference, const ModelSpec& gist,
                               const GistIds& gist_ids) {
  const std::int32_t a = vocabulary_of(reference);
  const std::int32_t b = vocabulary_of(gist);
  const std::int32_t shared = std::min(a, b);
  const bool gist_rows_apart = gist_ids.contains(shared) && std::max(a, b) <= gist_ids.end();
  if (a != b && !gist_rows_apart) {
    fail(ErrorKind::data,
         "the reference model has {} tokens and the gist model {}: only models of one vocabulary, "
         "with or without rows for gist tokens, can be compared",
         a, b);
  }
  return shared;
}

std::vector<Fidelity> fidelity(const AnsweringRun& reference, const AnsweringRun& gist,
                               const GistIds& gist_ids) {
  const std::int32_t shared =
      shared_vocabulary(reference.model.spec(), gist.model.spec(), gist_ids);
  const Choices choices{static_cast<std::size_t>(shared), gist_ids};
  const Predictions expected = predict(reference.model, reference.sequences, reference.scratch);
  const Predictions found = predict(gist.model, gist.sequences, gist.scratch);
  if (expected.labels != found.labels || expected.sequence != found.sequence) {
    fail(ErrorKind::internal, "fidelity: the two runs don't have the same labels");
  }

  std::vector<Fidelity> results(reference.sequences.size());
  HostLogits p(reference.model), q(gist.model);
  const auto n_labels = static_cast<std::int64_t>(expected.labels.size());
  const std::int64_t chunk = std::clamp(chunk_values / shared, min_chunk_rows, max_chunk_rows);
  for (std::int64_t begin = 0; begin < n_labels; begin += chunk) {
    const std::int64_t end = std::min(begin + chunk, n_labels);
    p.read(expected.hidden.rows(begin, end));
    q.read(found.hidden.rows(begin, end));
    for (std::int64_t i = begin; i < end; ++i) {
      const auto row = static_cast<std::size_t>(i - begin);
      Fidelity& result = results[expected.sequence[static_cast<std::size_t>(i)]];
      if (!p.finite(row) || !q.finite(row)) {
        result.divergence = std::numeric_limits<double>::quiet_NaN();
      }
      add_label(p.of(row, choices), q.of(row, choices), result);
    }
  }
  return results;
}

}  // namespace gist

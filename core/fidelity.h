// Fidelity: how near the answers through a gist are to those from the full prompt, by their
// next-token distributions.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/gist_ids.h"
#include "core/model.h"
#include "core/predict.h"

namespace gist {

/// The fidelity of one record's answer.
struct Fidelity {
  double divergence = 0;  // sum over labels of KL(reference || gist), in nats; NaN of no numbers
  std::int32_t labels = 0;
  std::int32_t agreements = 0;  // labels at which both have the same first choice

  double per_label() const { return divergence / labels; }
};

/// A model, and what it answers. The scratch is its own while both runs are compared.
struct AnsweringRun {
  const Model& model;
  std::span<const LabelledSequence> sequences;
  Scratch& scratch;
};

/// Returns how many token ids the two models have in common, which is all of the smaller one. Their
/// vocabularies (the heads' rows) must be equal, or differ by rows of gist tokens, which a model
/// gets as its last when it is trained to gist. Throws Error(data) with both sizes otherwise.
/// `gist_ids` are those of both models.
std::int32_t shared_vocabulary(const ModelSpec& reference, const ModelSpec& gist,
                               const GistIds& gist_ids);

/// Compares what the reference (which sees the full prompts) and the gist run (under the mask, or
/// behind stored gists) expect at each label of each record. Sequence i of both ends with the same
/// labels. The distributions are those that generation draws from at temperature 1: the softmax
/// over the shared vocabulary without the gist tokens, which generation bans; the first choice is
/// the largest logit, of equal ones that of the smallest id. A record with a logit that isn't finite
/// has the divergence NaN. One pass of each model over all sequences, then one operation
/// (kernels/ops/divergence.h) of the gist model's backend. The models may be one; their backends may
/// be two, of one device and dtype. Throws Error(data) as shared_vocabulary does.
std::vector<Fidelity> fidelity(const AnsweringRun& reference, const AnsweringRun& gist,
                               const GistIds& gist_ids);

}  // namespace gist

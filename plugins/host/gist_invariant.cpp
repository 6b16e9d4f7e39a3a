#include "plugins/host/gist_invariant.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "core/cached_row.h"
#include "core/compress.h"
#include "core/forward.h"
#include "core/predict.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/error.h"
#include "plugins/host/check/random_weights.h"

namespace gist {
namespace {

constexpr double tolerance = 1e-5;  // of the largest logit

/// prompt gist^k input completion.
struct Case {
  std::int32_t prompt, k, input;
};
constexpr Case cases[] = {{5, 1, 4}, {17, 3, 1}, {1, 1, 0}, {3, 3, 9}};
constexpr std::int32_t completion = 3;  // tokens that are read one by one
constexpr std::int32_t longest = 17 + 3 + 9 + completion;

std::int32_t length(const Case& c) {
  return c.prompt + c.k + c.input + completion;
}

/// The vocabulary's last id is the gist's.
std::vector<Sequence> sequences_of(const ModelSpec& spec) {
  std::mt19937 random(7);
  std::vector<Sequence> sequences;
  for (const Case& c : cases) {
    Sequence& sequence = sequences.emplace_back();
    for (std::int32_t i = 0; i < length(c); ++i) {
      sequence.ids.push_back(
          static_cast<std::int32_t>(random() % static_cast<std::uint32_t>(spec.vocabulary - 1)));
    }
    std::fill_n(sequence.ids.begin() + c.prompt, c.k, spec.vocabulary - 1);
    sequence.gists = {{c.prompt, c.prompt + c.k}};
  }
  return sequences;
}

/// Logits of each row from its last gist token on: [1 + input + completion, vocabulary].
using RowLogits = std::vector<std::vector<float>>;

void append_logits(Pass& pass, const Tensor& hidden, std::vector<float>& target) {
  const Tensor values = logits(pass.model(), hidden, pass.lasting());
  const std::size_t before = target.size();
  target.resize(before + static_cast<std::size_t>(values.shape.elements()));
  pass.backend().download(values, target.data() + before);
}

RowLogits full_pass(const Model& model, const std::vector<Sequence>& sequences, Scratch& scratch) {
  Batch batch;
  for (const Sequence& sequence : sequences) {
    add_sequence(batch, sequence, Condition::gist, StackKind::causal);
  }
  Pass pass(model, batch, {}, scratch);
  const Tensor hidden = forward(pass);
  RowLogits result(sequences.size());
  for (std::size_t r = 0; r < sequences.size(); ++r) {
    const AttentionRow& row = batch.keys.rows[r];
    append_logits(pass, hidden.rows(row.query_begin + sequences[r].gists[0].end - 1, row.query_end),
                  result[r]);
  }
  return result;
}

std::vector<GistActivations> stored_gists(const Model& model,
                                          const std::vector<Sequence>& sequences,
                                          Scratch& scratch) {
  std::vector<Sequence> prompts;
  std::vector<Interval> kept;
  for (const Sequence& sequence : sequences) {
    const Interval gist = sequence.gists[0];
    prompts.push_back({{sequence.ids.begin(), sequence.ids.begin() + gist.end}, sequence.gists});
    kept.push_back(gist);
  }
  return compress(model, prompts, kept, Condition::gist, scratch);
}

RowLogits from_store(const Model& model, const std::vector<Sequence>& sequences,
                     const std::vector<GistActivations>& stored, Scratch& scratch) {
  KeyValueCache cache(
      model, 0,
      static_cast<std::int32_t>(std::size(cases)) * (longest + KeyValueCache::block_size));
  std::vector<CachedRow> rows(sequences.size());
  RowLogits result(sequences.size());
  CachedBatch batch;
  for (std::int32_t step = 0; step <= completion; ++step) {
    batch.clear();
    batch.options.cache = &cache;
    for (std::size_t r = 0; r < sequences.size(); ++r) {
      const Interval gist = sequences[r].gists[0];
      if (step == 0) place_gist(rows[r], stored[r], gist.begin, cache, batch);
      const std::span<const std::int32_t> ids(sequences[r].ids);
      const auto begin =
          static_cast<std::size_t>(gist.end) + static_cast<std::size_t>(rows[r].queries);
      const std::size_t count = step == 0 ? static_cast<std::size_t>(cases[r].input) : 1;
      extend_row(rows[r], ids.subspan(begin, count), {}, Condition::pos, StackKind::causal, cache,
                 batch);
    }
    Pass pass(model, batch.batch, batch.options, scratch);
    const Tensor hidden = forward(pass);
    for (std::size_t r = 0; r < sequences.size(); ++r) {
      if (step == 0) {
        const std::int64_t d = model.spec().d_model;
        const float* last = stored[r].hidden.data() + stored[r].hidden.size() - d;
        append_logits(pass, pass.lasting().upload({1, d}, Dtype::f32, last), result[r]);
      }
      const AttentionRow& row = batch.batch.keys.rows[r];
      if (row.query_end > row.query_begin) {
        append_logits(pass, hidden.rows(row.query_begin, row.query_end), result[r]);
      }
    }
  }
  return result;
}

/// Logits of the decoder of an encoder-decoder, for the completion of each sequence: its encoder
/// reads all before it, or, behind `stored`, what follows the gist.
RowLogits answer_logits(const Model& model, const std::vector<Sequence>& sequences,
                        const std::vector<GistActivations>* stored) {
  std::vector<LabelledSequence> answers;
  for (std::size_t r = 0; r < sequences.size(); ++r) {
    LabelledSequence& answer = answers.emplace_back();
    answer.sequence = sequences[r];
    answer.labels = completion;
    answer.condition = Condition::gist;
    if (stored == nullptr) continue;
    const Interval gist = sequences[r].gists[0];
    answer.sequence = {{sequences[r].ids.begin() + gist.end, sequences[r].ids.end()}, {}};
    answer.condition = Condition::pos;
    answer.stored = &(*stored)[r];
    answer.stored_position = gist.begin;
  }
  Scratch scratch(model.backend());
  const Predictions predictions = predict(model, answers, scratch);
  RowLogits result(sequences.size());
  for (std::size_t r = 0; r < sequences.size(); ++r) {
    const auto first = static_cast<std::int64_t>(r) * completion;
    const Tensor values =
        logits(model, predictions.hidden.rows(first, first + completion), scratch.lasting);
    result[r].resize(static_cast<std::size_t>(values.shape.elements()));
    model.backend().download(values, result[r].data());
  }
  return result;
}

std::string difference(const RowLogits& full, const RowLogits& stored, int vocabulary) {
  double largest = 0;
  for (const std::vector<float>& row : full) {
    for (const float value : row) {
      if (!std::isfinite(value)) return "the full pass gives logits that aren't finite";
      largest = std::max(largest, std::fabs(static_cast<double>(value)));
    }
  }
  double worst = 0;
  std::string found;
  for (std::size_t r = 0; r < full.size(); ++r) {
    for (std::size_t i = 0; i < full[r].size(); ++i) {
      const double error = std::fabs(static_cast<double>(full[r][i]) - stored[r][i]);
      if (error <= worst) continue;
      worst = std::isfinite(error) ? error : INFINITY;
      const Case& c = cases[r];
      found = fmt::format(
          "logits from the stored gist differ from the full pass by {:.2g} of the largest logit, "
          "expected at most {:g} (prompt of {} tokens, k = {}, {} tokens after the gist): "
          "callbacks must be pure, and see tokens through attention alone",
          worst / largest, tolerance, c.prompt, c.k, i / static_cast<std::size_t>(vocabulary));
    }
  }
  return worst > tolerance * largest ? found : "";
}

}  // namespace

std::string broken_gist_invariant(std::unique_ptr<Family> family) {
  const ModelSpec spec = family->spec();
  if (spec.vocabulary < 2 || (spec.max_positions > 0 && spec.max_positions < longest)) {
    fail(ErrorKind::data,
         "the check's configuration has a vocabulary of {} and {} positions, expected at least 2 "
         "and {}",
         spec.vocabulary, spec.max_positions, longest);
  }
  const std::unique_ptr<Backend> backend = make_cpu_backend();
  const RandomWeights weights(spec);
  const Model model(std::move(family), *backend, weights.source());
  Scratch scratch(*backend);
  const std::vector<Sequence> sequences = sequences_of(spec);
  const std::vector<GistActivations> stored = stored_gists(model, sequences, scratch);
  if (spec.encoder_decoder()) {
    return difference(answer_logits(model, sequences, nullptr),
                      answer_logits(model, sequences, &stored), spec.vocabulary);
  }
  const RowLogits full = full_pass(model, sequences, scratch);
  return difference(full, from_store(model, sequences, stored, scratch), spec.vocabulary);
}

}  // namespace gist

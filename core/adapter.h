// A low-rank adapter (Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models") that acts
// on gist tokens alone: for them, the products y = x W^T of some matrices become
// y + alpha / rank (x A^T) B^T, and the rows of the embedding table are the adapter's own. All other
// tokens are computed as without it, to the last bit, so that the model answers from whole prompts,
// and from stored gists, as it is.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/gist_ids.h"
#include "core/model.h"
#include "core/parameters.h"

namespace gist {

struct AdapterSpec {
  int rank = 16;      // 1 or more
  float alpha = 32;   // above 0
  float dropout = 0;  // in [0, 1): of what A reads, in a training pass
  /// Which matrices: the ends of their names without ".weight". "v_proj" is that of every layer.
  std::vector<std::string> targets = {};
  GistIds gist_ids = {};  // of the tokens that it acts on; there are some
};

/// The matrices of the layers in which gist tokens stand, by their names without ".weight"; what
/// targets may name.
std::vector<std::string> adaptable_matrices(const ModelSpec& spec);
/// The targets that name all of them: the last parts of their names, each once, in byte order.
/// Experts of a mixture, among which rows are shared out, are no targets.
std::vector<std::string> all_targets(const ModelSpec& spec);

/// What an adapter is made of: of each matrix NAME.weight the parameters NAME.lora_A.weight
/// [rank, k], drawn from a normal distribution, and NAME.lora_B.weight [n, rank], 0; last the gist
/// tokens' rows [count, d_model], by the embedding table's name and gist_rows_end. Throws
/// Error(usage) naming a target that names no matrix, or one of an expert, and what could be named.
std::vector<Parameter> adapter_parameters(const ModelSpec& spec, const AdapterSpec& adapter);
constexpr const char* gist_rows_end = ".gist_rows";
/// The rows among those.
const Parameter& gist_rows_of(const Parameters& parameters);
/// The weight that is the embedding table: its index in spec.weights. Throws Error(data) where there
/// is none.
int embedding_table_of(const ModelSpec& spec);

/// One matrix's part.
struct LowRank {
  Weight a, b;  // in training with gradients
};

class Adapter {
 public:
  /// `parameters` are those of adapter_parameters, and must outlive it.
  Adapter(const ModelSpec& spec, AdapterSpec adapter, const Parameters& parameters);
  /// Loads one for inference. Throws as adapter_parameters and `load` (core/parameters.h).
  Adapter(const ModelSpec& spec, AdapterSpec adapter, const WeightSource& source, Backend& backend);

  const AdapterSpec& spec() const { return spec_; }
  /// Null where the matrix has no part in it.
  const LowRank* of(int weight, int layer) const;
  const Weight& gist_rows() const { return gist_rows_; }
  std::size_t bytes() const { return bytes_; }

 private:
  void find_parts(const ModelSpec& spec, const Parameters& parameters);

  AdapterSpec spec_;
  std::unique_ptr<const Parameters> own_;         // where it has loaded them
  std::map<std::pair<int, int>, LowRank> parts_;  // by weight and layer
  Weight gist_rows_;
  std::size_t bytes_ = 0;
};

}  // namespace gist

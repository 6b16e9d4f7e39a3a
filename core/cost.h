// This file counts what answering costs: FLOPs, which the engine's own passes count over shapes,
// and what is stored of a prompt (Mu, Li and Goodman 2023, "Compute, memory, and storage
// efficiency").
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/model.h"
#include "kernels/counting_backend.h"

namespace gist {

/// Caching is what is kept of a prompt from one answer to the next.
enum class Caching : std::uint8_t {
  none,         // nothing: all is read again, and all of it is seen (condition pos)
  instruction,  // activations of the prompt and of its gist tokens, likewise under pos
  gist,         // activations of the gist tokens
};

std::string_view name_of(Caching caching);
/// An encoder's prompt sees the input: without a gist nothing of it can be kept.
bool can_cache(const ModelSpec& spec, Caching caching);

/// Tokens of one row.
struct RowLengths {
  std::int32_t prompt = 0;  // before the gist, a decoder's bos included
  std::int32_t gist = 0;    // k; at least 1 where gists are cached
  std::int32_t input = 0;   // after the gist, an encoder's eos included
  std::int32_t answer = 1;  // that are generated, eos included; at least 1
};

/// Tokens of a row that are kept, and those that are read for each answer.
std::int32_t stored_tokens(const RowLengths& row, Caching caching);
std::int32_t read_tokens(const RowLengths& row, Caching caching);

// --- FLOPs ---

/// FLOPs of one kind of operation, or of all; a multiplication and an addition are two. They differ
/// in attention alone: `visible` counts pairs of query and key that see each other, which is what
/// has to be computed; `dense` counts each query with all keys that its row holds, as the paper
/// does (n x n where a sequence of n is read; n queries with k + n keys behind k stored tokens).
/// OpCost says more.
struct Flops {
  std::int64_t visible = 0;
  std::int64_t dense = 0;
  bool operator==(const Flops&) const = default;
};
using FlopsByOp = std::map<std::string, Flops>;  // by the operation's name

Flops total(const FlopsByOp& by_op);

/// LogitRows says for which of the tokens that a decoder reads logits are computed: the last, as
/// the engine does, or every one, as the paper's implementation did. (An encoder-decoder reads one
/// token, the start of its answer, in its decoder.)
enum class LogitRows : std::uint8_t { last, every };

/// Sums over rows.
struct AnswerFlops {
  FlopsByOp reading;   // of the passes over what has to be read, which give the first token
  FlopsByOp decoding;  // of the steps after them
  std::int64_t decode_steps = 0;
};

/// Generates all rows on shapes, many of them in one pass: FLOPs don't depend on who shares one.
/// The model stands on `backend`, which forgets what it counted before. Throws Error(usage) where
/// the family can't cache so, Error(data) naming the row, counted from 1, where it is empty or has
/// more tokens than the model has positions, and Error(internal) for lengths that RowLengths rules
/// out.
AnswerFlops count_answers(const Model& model, CountingBackend& backend,
                          std::span<const RowLengths> rows, Caching caching,
                          LogitRows logit_rows = LogitRows::last);

/// FLOPs of computing once what is stored of each row's prompt; none under Caching::none. Backend
/// and errors as above.
FlopsByOp count_compression(const Model& model, CountingBackend& backend,
                            std::span<const RowLengths> rows, Caching caching);

// --- storage ---

/// Bytes of one token's activations in a store: keys and values of all layers of the stack in which
/// gists stand, and the hidden state.
std::size_t stored_token_bytes(const ModelSpec& spec, Dtype dtype);

/// StorageCost is what a set of prompts takes in a store, a row for each of them.
struct StorageCost {
  double prompt_bytes = 0;                   // the mean
  std::optional<double> prompts_per_gib;     // where anything is stored
  std::optional<double> compression_factor;  // tokens of prompts per gist token; of gists alone
};
StorageCost storage_cost(const ModelSpec& spec, std::span<const RowLengths> rows, Caching caching,
                         Dtype dtype);

/// Returns after how many uses a prompt's compression has paid: the least n with once + n * with <=
/// n * without, in any unit (FLOPs, seconds); nothing where it never does.
std::optional<std::int64_t> uses_until_paid(double once, double without, double with);

}  // namespace gist

// Benchmarks of matrix products and attention, on any backend.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/backend.h"
#include "tests/bench/machine_limits.h"

namespace gist::bench {

struct Machine {
  std::unique_ptr<Backend> (*open)(Dtype dtype);
  MachineLimits limits;
  int calls = 1;  // that are timed together: waiting for a device may take longer than a call
};

/// Rows of `queries` queries over `keys` keys. The keys before `hidden_end` are hidden from the
/// queries from there on, as a gist hides its prompt.
struct AttentionCase {
  std::string name;
  std::int32_t rows, queries, keys, hidden_end;
  std::int64_t heads, kv_heads, dim;
};

/// Extras are what attention does besides its products.
enum class Extras : std::uint8_t { none, bias, dropout };

/// n values of either sign: what a device draws, and with it its clock, depends on the bits.
std::vector<float> mixed_values(std::int64_t n);

/// y[rows, size] = x[rows, size] w^T.
void register_gemm(const Machine& machine, Dtype dtype, std::int64_t size,
                   const std::vector<std::int64_t>& rows);
/// `training`: what attention_backward needs is written, too.
void register_attention(const std::string& name, const Machine& machine, Dtype dtype,
                        const AttentionCase& c, bool training, Extras extras);
void register_attention_backward(const std::string& name, const Machine& machine, Dtype dtype,
                                 const AttentionCase& c, Extras extras);
/// Measures what positions cost where they are rotated into queries and keys: biases stand in for
/// it.
void register_rotate(const std::string& name, const Machine& machine, const AttentionCase& c);

}  // namespace gist::bench

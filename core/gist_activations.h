// A compressed prompt: the keys and values of its gist tokens.
#pragma once

#include <cstdint>
#include <vector>

namespace gist {

/// GistActivations lie in host memory, as f32. Keys are unrotated. Where a backend only counts,
/// keys and values may be left out.
struct GistActivations {
  std::int32_t tokens = 0;
  std::vector<float> key;     // [tokens, layers, kv_heads, key_dim]
  std::vector<float> value;   // [tokens, layers, kv_heads, value_dim]
  std::vector<float> hidden;  // [tokens, d_model], after `leave`
};

}  // namespace gist

// The tiles that attention is computed by, forwards, in f32 and in bf16.
#pragma once

namespace gist::cuda {

template <int dim_>
struct ForwardTile {
  static constexpr int dim = dim_;
  static constexpr int columns = 64;
  static constexpr int keys = dim <= 128 ? 64 : 32;
};

}  // namespace gist::cuda

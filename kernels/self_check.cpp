#include "kernels/self_check.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "kernels/philox.h"

namespace gist {
namespace {

using Values = std::vector<float>;

constexpr std::int64_t tokens = 70, heads = 4, kv_heads = 2, dim = 32, width = heads * dim;
constexpr std::int32_t hidden_end = 40;  // from this query on, nobody sees the keys before `gist`
constexpr std::int32_t gist = 39;

/// Within [-1, 1); `array` tells arrays apart.
Values drawn(std::uint32_t array, std::int64_t count) {
  Values values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::uint32_t word = philox_words(array, {static_cast<std::uint32_t>(i), 0, 0, 0})[0];
    values[i] = static_cast<float>(word >> 8) * 0x1p-23F - 1;
  }
  return values;
}

/// Tensors on one backend.
class Arrays {
 public:
  explicit Arrays(Backend& backend) : backend_(backend) {}

  Backend& backend() { return backend_; }
  Tensor empty(const Shape& shape, Dtype dtype = Dtype::f32) {
    Tensor tensor{nullptr, dtype, shape};
    buffers_.push_back(backend_.allocate(tensor.bytes()));
    tensor.data = buffers_.back().data();
    return tensor;
  }
  Tensor of(const Shape& shape, const Values& values) {
    const Tensor tensor = empty(shape);
    backend_.upload(tensor, values.data());
    return tensor;
  }
  Tensor of(const Shape& shape, const std::vector<std::int32_t>& values) {
    const Tensor tensor = empty(shape, Dtype::i32);
    backend_.upload(tensor, values.data());
    return tensor;
  }
  Values read(const Tensor& tensor) {
    Values values(static_cast<std::size_t>(tensor.shape.elements()));
    backend_.download(tensor, values.data());
    return values;
  }

 private:
  Backend& backend_;
  std::deque<Buffer> buffers_;
};

Values rms_norm(Arrays at, const Values& x) {
  const Tensor y = at.empty({tokens, width});
  at.backend().run(ops::RmsNorm{.x = at.of({tokens, width}, x),
                                .weight = at.of({width}, drawn(1, width)),
                                .eps = 1e-6F,
                                .y = y});
  return at.read(y);
}

Values gemm(Arrays at, const Values& x) {
  const Values weight = drawn(2, width * width);
  const auto matrix = at.backend().pack(
      {reinterpret_cast<const std::byte*>(weight.data()), Dtype::f32, {width, width}});
  const Tensor y = at.empty({tokens, width});
  at.backend().run(ops::Gemm{.x = at.of({tokens, width}, x), .w = *matrix, .y = y});
  return at.read(y);
}

Values rotate(Arrays at, const Values& x) {
  std::vector<std::int32_t> positions(tokens);
  for (std::int32_t i = 0; i < tokens; ++i) positions[static_cast<std::size_t>(i)] = 50 * i;
  Values inv_freq(dim / 2);
  for (std::size_t i = 0; i < inv_freq.size(); ++i) {
    inv_freq[i] = std::pow(1e4F, -2 * static_cast<float>(i) / dim);
  }
  const Tensor rotation = at.empty({tokens, 2, dim / 2});
  const Tensor y = at.empty({tokens, heads, dim});
  at.backend().run(ops::Rotation{.positions = at.of({tokens}, positions),
                                 .inv_freq = at.of({dim / 2}, inv_freq),
                                 .rotation = rotation});
  at.backend().run(ops::Rotate{.x = at.of({tokens, heads, dim}, x),
                               .rotation = rotation,
                               .pairs = RopePairs::half,
                               .direction = RotateDirection::forward,
                               .y = y});
  return at.read(y);
}

Values attention(Arrays at, const Values& q) {
  const std::int32_t n = tokens;
  std::vector<std::int32_t> slot, begin, end;
  for (std::int32_t j = 0; j < n; ++j) {
    slot.push_back(n - 1 - j);
    begin.push_back(j);
    end.push_back(j < gist ? hidden_end : n);
  }
  AttentionKeys visible;
  visible.rows = at.of({1, 5}, std::vector<std::int32_t>{0, n, 0, 0, n});
  visible.slot = at.of({n}, slot);
  visible.begin = at.of({n}, begin);
  visible.end = at.of({n}, end);
  AttentionSpec spec;
  spec.scale = 1 / std::sqrt(static_cast<float>(dim));
  const Shape keys{tokens, kv_heads, dim};
  const Tensor y = at.empty({tokens, heads, dim});
  at.backend().run(ops::Attention{.q = at.of({tokens, heads, dim}, q),
                                  .keys = at.of(keys, drawn(3, keys.elements())),
                                  .values = at.of(keys, drawn(4, keys.elements())),
                                  .visible = visible,
                                  .spec = spec,
                                  .y = y});
  return at.read(y);
}

Values gated_activation(Arrays at, const Values& x) {
  const Tensor y = at.empty({tokens, width});
  at.backend().run(ops::GatedActivation{.activation = Activation::silu,
                                        .gate = at.of({tokens, width}, x),
                                        .up = at.of({tokens, width}, drawn(5, tokens * width)),
                                        .y = y});
  return at.read(y);
}

/// The ids.
Values sample(Arrays at, const Values& logits) {
  const Tensor ids = at.empty({tokens}, Dtype::i32);
  at.backend().run(ops::Sample{.logits = at.of({tokens, width}, logits),
                               .uniform = at.of({tokens}, Values(tokens)),
                               .ids = ids});
  std::vector<std::int32_t> read(tokens);
  at.backend().download(ids, read.data());
  return {read.begin(), read.end()};
}

struct Check {
  const char* operation;
  Values (*run)(Arrays at, const Values& input);
};
constexpr Check checks[] = {{"rms_norm", rms_norm},
                            {"gemm", gemm},
                            {"rotate", rotate},
                            {"attention", attention},
                            {"gated_activation", gated_activation},
                            {"sample", sample}};

}  // namespace

std::string self_check(Backend& device, Backend& oracle, float tolerance) {
  Values input = drawn(0, tokens * width);
  for (const Check& check : checks) {
    const Values found = check.run(Arrays(device), input);
    Values expected = check.run(Arrays(oracle), input);
    float largest = 0;
    for (const float value : expected) largest = std::max(largest, std::abs(value));
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const float difference = std::abs(found[i] - expected[i]);
      if (difference <= tolerance * largest) continue;  // NaN is not
      return fmt::format("{} computes {:.6g} where the CPU computes {:.6g}", check.operation,
                         found[i], expected[i]);
    }
    input = std::move(expected);
  }
  return {};
}

}  // namespace gist

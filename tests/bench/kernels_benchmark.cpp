// Matrix products and attention as fractions of what this machine can do.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstdio>
#include <deque>
#include <vector>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/error.h"
#include "tests/bench/machine_limits.h"

namespace gist::bench {
namespace {

/// A cpu backend with tensors on it that live as long.
class Device {
 public:
  explicit Device(Dtype dtype) : backend_(make_cpu_backend({.dtype = dtype})) {}
  Backend& backend() { return *backend_; }

  Tensor floats(const Shape& shape) {
    return upload(Dtype::f32, shape,
                  std::vector<float>(static_cast<std::size_t>(shape.elements()), 0.01F).data());
  }
  Tensor integers(const Shape& shape, const std::vector<std::int32_t>& values) {
    return upload(Dtype::i32, shape, values.data());
  }

 private:
  Tensor upload(Dtype dtype, const Shape& shape, const void* values) {
    Tensor tensor{nullptr, dtype, shape};
    buffers_.push_back(backend_->allocate(tensor.bytes()));
    tensor.data = buffers_.back().data();
    backend_->upload(tensor, values);
    return tensor;
  }

  std::unique_ptr<Backend> backend_;
  std::deque<Buffer> buffers_;
};

void report(benchmark::State& state, double flops, double bytes, double peak_flops,
            const MachineLimits& limits) {
  using benchmark::Counter;
  const auto rate = Counter::kIsIterationInvariantRate;
  state.counters["GFLOP/s"] = Counter(flops * 1e-9, rate);
  state.counters["of_peak"] = Counter(flops / peak_flops, rate);
  state.counters["of_read"] = Counter(bytes / limits.bytes_read, rate);
}

/// y[m, 4096] = x[m, 4096] w^T. Weights are more than caches hold, as in a model.
void gemm(benchmark::State& state, Dtype dtype, const MachineLimits& limits) {
  constexpr std::int64_t size = 4096;
  const std::int64_t m = state.range(0);
  Device device(dtype);
  const std::vector<float> values(size * size, 0.01F);
  std::deque<std::unique_ptr<Matrix>> weights;
  for (int i = 0; i < 3; ++i) {
    weights.push_back(device.backend().pack(
        {reinterpret_cast<const std::byte*>(values.data()), Dtype::f32, {size, size}}));
  }
  const Tensor x = device.floats({m, size});
  const Tensor y = device.floats({m, size});
  std::size_t next = 0;
  for (auto _ : state) device.backend().gemm(x, *weights[next++ % weights.size()], {}, y);
  const double peak = dtype == Dtype::bf16 ? limits.bf16_flops : limits.f32_flops;
  report(state, 2.0 * static_cast<double>(m) * size * size,
         static_cast<double>(weights[0]->bytes()), peak, limits);
}

/// Rows of `queries` queries over `keys` keys. The keys before `hidden_end` are hidden from the
/// queries from there on, as a gist hides its prompt.
struct AttentionCase {
  const char* name;
  std::int32_t rows, queries, keys, hidden_end;
  std::int64_t heads, kv_heads, dim;
};

/// T5's buckets, for queries and keys that stand where they are listed.
RelativeBias relative_bias(const AttentionCase& c, Device& device) {
  std::vector<std::int32_t> queries, keys;
  for (std::int32_t r = 0; r < c.rows; ++r) {
    for (std::int32_t i = 0; i < c.queries; ++i) queries.push_back(c.keys - c.queries + i);
    for (std::int32_t j = 0; j < c.keys; ++j) keys.push_back(j);
  }
  return {device.floats({32, c.heads}),
          device.integers({static_cast<std::int64_t>(queries.size())}, queries),
          device.integers({static_cast<std::int64_t>(keys.size())}, keys), 128, true};
}

/// What attention does besides its products.
enum class Extras : std::uint8_t { none, bias, dropout };
struct NamedExtras {
  Extras extras;
  const char* name;
};
constexpr NamedExtras all_extras[] = {
    {Extras::none, ""}, {Extras::bias, ", bias"}, {Extras::dropout, ", dropout"}};

AttentionSpec spec_of(Extras extras, const AttentionCase& c, Device& device) {
  AttentionSpec spec{0.1F, 0, {}, {}};
  if (extras == Extras::bias) spec.bias = relative_bias(c, device);
  if (extras == Extras::dropout) spec.dropout.probability = 0.1F;
  return spec;
}

/// What an attention call reads and writes.
struct AttentionCall {
  AttentionCall(const AttentionCase& c, Device& device);
  AttentionKeys visible;
  Tensor q, keys, values, y, log_sum_exp;
};

AttentionCall::AttentionCall(const AttentionCase& c, Device& device) {
  std::vector<std::int32_t> rows, slot, begin, end;
  const std::int32_t past = c.keys - c.queries;
  std::int64_t pairs = 0;
  for (std::int32_t r = 0; r < c.rows; ++r) {
    rows.insert(rows.end(),
                {r * c.queries, (r + 1) * c.queries, past, r * c.keys, (r + 1) * c.keys});
    for (std::int32_t j = 0; j < c.keys; ++j) {
      slot.push_back(r * c.keys + j);
      begin.push_back(j);
      end.push_back(j < c.hidden_end ? c.hidden_end : c.keys);
      pairs += std::max(0, end.back() - std::max(j, past));
    }
  }
  const std::int64_t list = static_cast<std::int64_t>(slot.size());
  const std::int64_t queries = std::int64_t{c.rows} * c.queries;
  visible = {device.integers({c.rows, 5}, rows), device.integers({list}, slot),
             device.integers({list}, begin), device.integers({list}, end), pairs};
  q = device.floats({queries, c.heads, c.dim});
  keys = device.floats({list, c.kv_heads, c.dim});
  values = device.floats({list, c.kv_heads, c.dim});
  y = device.floats({queries, c.heads, c.dim});
  log_sum_exp = device.floats({queries, c.heads});
}

void attention(benchmark::State& state, const AttentionCase& c, bool training, Extras extras,
               const MachineLimits& limits) {
  Device device(Dtype::f32);
  const AttentionCall call(c, device);
  const AttentionSpec spec = spec_of(extras, c, device);
  const Tensor log_sum_exp = training ? call.log_sum_exp : Tensor{};
  for (auto _ : state) {
    device.backend().attention(call.q, call.keys, call.values, call.visible, spec, call.y,
                               log_sum_exp);
  }
  report(state, 4.0 * static_cast<double>(call.visible.visible_pairs * c.heads * c.dim),
         static_cast<double>(call.keys.bytes() + call.values.bytes()), limits.f32_flops, limits);
}

/// Five products: scores, and the gradients of probabilities, queries, keys and values.
void attention_backward(benchmark::State& state, const AttentionCase& c, Extras extras,
                        const MachineLimits& limits) {
  Device device(Dtype::f32);
  const AttentionCall call(c, device);
  const AttentionSpec spec = spec_of(extras, c, device);
  const Tensor dy = device.floats(call.y.shape);
  const Tensor dq = device.floats(call.q.shape);
  const Tensor dkeys = device.floats(call.keys.shape);
  const Tensor dvalues = device.floats(call.values.shape);
  const Tensor dtable = extras == Extras::bias ? device.floats(spec.bias.table.shape) : Tensor{};
  device.backend().attention(call.q, call.keys, call.values, call.visible, spec, call.y,
                             call.log_sum_exp);
  for (auto _ : state) {
    device.backend().attention_backward(call.q, call.keys, call.values, call.visible, spec, call.y,
                                        call.log_sum_exp, dy, dq, dkeys, dvalues, dtable);
  }
  report(state, 10.0 * static_cast<double>(call.visible.visible_pairs * c.heads * c.dim),
         static_cast<double>(2 * (call.keys.bytes() + call.values.bytes())), limits.f32_flops,
         limits);
}

/// What positions cost where they are rotated into queries and keys: biases stand in for it.
void rotate(benchmark::State& state, const AttentionCase& c) {
  Device device(Dtype::f32);
  const AttentionCall call(c, device);
  const Tensor of_queries = device.floats({call.q.shape[0], 2, c.dim / 2});
  const Tensor of_keys = device.floats({call.keys.shape[0], 2, c.dim / 2});
  const auto forward = RotateDirection::forward;
  for (auto _ : state) {
    device.backend().rotate(call.q, of_queries, RopePairs::half, forward, call.q);
    device.backend().rotate(call.keys, of_keys, RopePairs::half, forward, call.keys);
  }
}

constexpr AttentionCase attention_cases[] = {
    {"causal 2048", 1, 2048, 2048, 0, 32, 8, 128},
    {"causal 2048, dim 64", 1, 2048, 2048, 0, 16, 16, 64},
    {"gist after 1600 of 2048", 1, 2048, 2048, 1600, 32, 8, 128},
    {"causal 16 x 128", 16, 128, 128, 0, 32, 8, 128},
    {"decode 1 x 8192", 1, 1, 8192, 0, 32, 8, 128},
    {"decode 16 x 1024", 16, 1, 1024, 0, 32, 8, 128},
    {"decode 16 x 1024, no groups", 16, 1, 1024, 0, 32, 32, 128},
};

constexpr AttentionCase training_cases[] = {
    {"causal 64 x 35, dim 32", 64, 35, 35, 0, 4, 4, 32},
    {"gist after 24, 64 x 35, dim 32", 64, 35, 35, 24, 4, 4, 32},
    {"causal 2048, dim 64", 1, 2048, 2048, 0, 8, 8, 64},
    {"causal 2048, dim 128", 1, 2048, 2048, 0, 8, 8, 128},
};

/// Without groups, as T5's.
constexpr AttentionCase bias_cases[] = {
    {"decode 1 x 2048, dim 64", 1, 1, 2048, 0, 16, 16, 64},
    {"decode 16 x 128, dim 64", 16, 1, 128, 0, 16, 16, 64},
};

template <typename Body>
void register_attention(const std::string& name, Body body) {
  benchmark::RegisterBenchmark(name.c_str(), body)->UseRealTime()->Unit(benchmark::kMillisecond);
}

void register_benchmarks(const MachineLimits& limits) {
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    if (dtype == Dtype::bf16 && limits.bf16_flops == 0) continue;
    auto* made = benchmark::RegisterBenchmark(
        ("gemm " + std::string(name_of(dtype)) + " 4096 x 4096, rows").c_str(),
        [=](benchmark::State& state) { gemm(state, dtype, limits); });
    made->Arg(1)->Arg(8)->Arg(64)->Arg(512)->Arg(2048)->UseRealTime()->Unit(
        benchmark::kMillisecond);
  }
  for (const AttentionCase& c : attention_cases) {
    register_attention(std::string("attention ") + c.name, [=](benchmark::State& state) {
      attention(state, c, false, Extras::none, limits);
    });
  }
  for (const AttentionCase& c : training_cases) {
    for (const auto& [extras, name] : all_extras) {
      register_attention(std::string("training attention ") + c.name + name,
                         [=, extras = extras](benchmark::State& state) {
                           attention(state, c, true, extras, limits);
                         });
      register_attention(std::string("attention_backward ") + c.name + name,
                         [=, extras = extras](benchmark::State& state) {
                           attention_backward(state, c, extras, limits);
                         });
    }
    register_attention(std::string("rotate queries and keys ") + c.name,
                       [=](benchmark::State& state) { rotate(state, c); });
  }
  for (const AttentionCase& c : bias_cases) {
    for (const auto& [extras, name] : all_extras) {
      register_attention(std::string("attention ") + c.name + name,
                         [=, extras = extras](benchmark::State& state) {
                           attention(state, c, false, extras, limits);
                         });
    }
  }
}

}  // namespace
}  // namespace gist::bench

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 64;
  const gist::bench::MachineLimits limits = gist::bench::measure_machine();
  std::fprintf(stderr, "this machine: %.0f GFLOP/s f32, %.0f GFLOP/s bf16, %.1f GB/s read\n",
               limits.f32_flops * 1e-9, limits.bf16_flops * 1e-9, limits.bytes_read * 1e-9);
  gist::bench::register_benchmarks(limits);
  benchmark::RunSpecifiedBenchmarks();
}

#include "tests/bench/kernel_benchmarks.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <deque>
#include <random>

namespace gist::bench {
namespace {

/// A backend with tensors on it that live as long.
class Device {
 public:
  explicit Device(std::unique_ptr<Backend> backend) : backend_(std::move(backend)) {}
  Backend& backend() { return *backend_; }

  Tensor floats(const Shape& shape) {
    return upload(Dtype::f32, shape, mixed_values(shape.elements()).data());
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

template <typename Call>
void time_calls(benchmark::State& state, const Machine& machine, Device& device, Call call) {
  call();  // takes its scratch memory, and on a device loads its kernels
  device.backend().synchronize();
  while (state.KeepRunningBatch(machine.calls)) {
    for (int i = 0; i < machine.calls; ++i) call();
    device.backend().synchronize();
  }
}

void report(benchmark::State& state, double flops, double bytes, Dtype dtype,
            const MachineLimits& limits) {
  using benchmark::Counter;
  const auto rate = Counter::kIsIterationInvariantRate;
  const double peak_flops = dtype == Dtype::bf16 ? limits.bf16_flops : limits.f32_flops;
  state.counters["GFLOP/s"] = Counter(flops * 1e-9, rate);
  state.counters["of_peak"] = Counter(flops / peak_flops, rate);
  state.counters["of_read"] = Counter(bytes / limits.bytes_read, rate);
}

/// Weights are more than caches hold, as in a model.
void gemm(benchmark::State& state, const Machine& machine, Dtype dtype, std::int64_t size) {
  const std::int64_t m = state.range(0);
  Device device(machine.open(dtype));
  const std::vector<float> values = mixed_values(size * size);
  std::deque<std::unique_ptr<Matrix>> weights;
  for (int i = 0; i < 3; ++i) {
    weights.push_back(device.backend().pack(
        {reinterpret_cast<const std::byte*>(values.data()), Dtype::f32, {size, size}}));
  }
  const Tensor x = device.floats({m, size});
  const Tensor y = device.floats({m, size});
  std::size_t next = 0;
  time_calls(state, machine, device, [&] {
    device.backend().run(ops::Gemm{.x = x, .w = *weights[next++ % weights.size()], .y = y});
  });
  report(state, 2.0 * static_cast<double>(m * size * size),
         static_cast<double>(weights[0]->bytes()), dtype, machine.limits);
}

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

AttentionSpec spec_of(Extras extras, const AttentionCase& c, Device& device) {
  AttentionSpec spec{0.1F, 0, {}, {}};
  if (extras == Extras::bias) spec.bias = relative_bias(c, device);
  if (extras == Extras::dropout) spec.dropout.probability = 0.1F;
  return spec;
}

/// AttentionCall counts what an attention call reads and writes.
struct AttentionCall {
  AttentionCall(const AttentionCase& c, Device& device);
  AttentionKeys visible;
  std::int64_t visible_tiles = 0;  // of 64 queries and 64 keys, some of which see each other
  Tensor q, keys, values, y, log_sum_exp;
};

/// begin and end: as AttentionKeys', of which those of the first row are read: all rows are the
/// same.
std::int64_t count_visible_tiles(const AttentionCase& c, const std::vector<std::int32_t>& begin,
                                 const std::vector<std::int32_t>& end) {
  constexpr std::int32_t tile = 64;
  std::int64_t count = 0;
  for (std::int32_t first = c.keys - c.queries; first < c.keys; first += tile) {
    const std::int32_t last = std::min(first + tile, c.keys) - 1;
    for (std::int32_t keys = 0; keys < c.keys; keys += tile) {
      bool visible = false;
      for (std::int32_t j = keys; j < std::min(keys + tile, c.keys); ++j) {
        const auto at = static_cast<std::size_t>(j);
        visible |= begin[at] <= last && end[at] > first;
      }
      count += visible ? 1 : 0;
    }
  }
  return c.rows * count;
}

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
  visible_tiles = count_visible_tiles(c, begin, end);
  visible = {device.integers({c.rows, 5}, rows), device.integers({list}, slot),
             device.integers({list}, begin), device.integers({list}, end), pairs};
  q = device.floats({queries, c.heads, c.dim});
  keys = device.floats({list, c.kv_heads, c.dim});
  values = device.floats({list, c.kv_heads, c.dim});
  y = device.floats({queries, c.heads, c.dim});
  log_sum_exp = device.floats({queries, c.heads});
}

/// Masks cost nothing but their tiles where the time of a tile is the same under each.
void report_tiles(benchmark::State& state, const AttentionCall& call, std::int64_t heads) {
  using benchmark::Counter;
  state.counters["tile"] = Counter(static_cast<double>(call.visible_tiles * heads),
                                   Counter::kIsIterationInvariantRate | Counter::kInvert);
}

void attention(benchmark::State& state, const Machine& machine, Dtype dtype, const AttentionCase& c,
               bool training, Extras extras) {
  Device device(machine.open(dtype));
  const AttentionCall call(c, device);
  const AttentionSpec spec = spec_of(extras, c, device);
  const Tensor log_sum_exp = training ? call.log_sum_exp : Tensor{};
  time_calls(state, machine, device, [&] {
    device.backend().run(ops::Attention{.q = call.q,
                                        .keys = call.keys,
                                        .values = call.values,
                                        .visible = call.visible,
                                        .spec = spec,
                                        .y = call.y,
                                        .log_sum_exp = log_sum_exp});
  });
  report(state, 4.0 * static_cast<double>(call.visible.visible_pairs * c.heads * c.dim),
         static_cast<double>(call.keys.bytes() + call.values.bytes()), dtype, machine.limits);
  report_tiles(state, call, c.heads);
}

/// Five products: scores, and the gradients of probabilities, queries, keys and values.
void attention_backward(benchmark::State& state, const Machine& machine, Dtype dtype,
                        const AttentionCase& c, Extras extras) {
  Device device(machine.open(dtype));
  const AttentionCall call(c, device);
  const AttentionSpec spec = spec_of(extras, c, device);
  const Tensor dy = device.floats(call.y.shape);
  const Tensor dq = device.floats(call.q.shape);
  const Tensor dkeys = device.floats(call.keys.shape);
  const Tensor dvalues = device.floats(call.values.shape);
  const Tensor dtable = extras == Extras::bias ? device.floats(spec.bias.table.shape) : Tensor{};
  const ops::Attention forward{.q = call.q,
                               .keys = call.keys,
                               .values = call.values,
                               .visible = call.visible,
                               .spec = spec,
                               .y = call.y,
                               .log_sum_exp = call.log_sum_exp};
  device.backend().run(forward);
  time_calls(state, machine, device, [&] {
    device.backend().run(ops::AttentionBackward{.forward = forward,
                                                .dy = dy,
                                                .dq = dq,
                                                .dkeys = dkeys,
                                                .dvalues = dvalues,
                                                .dtable = dtable});
  });
  report(state, 10.0 * static_cast<double>(call.visible.visible_pairs * c.heads * c.dim),
         static_cast<double>(2 * (call.keys.bytes() + call.values.bytes())), dtype, machine.limits);
  report_tiles(state, call, c.heads);
}

void rotate(benchmark::State& state, const Machine& machine, const AttentionCase& c) {
  Device device(machine.open(Dtype::f32));
  const AttentionCall call(c, device);
  const Tensor of_queries = device.floats({call.q.shape[0], 2, c.dim / 2});
  const Tensor of_keys = device.floats({call.keys.shape[0], 2, c.dim / 2});
  const auto forward = RotateDirection::forward;
  time_calls(state, machine, device, [&] {
    device.backend().run(ops::Rotate{.x = call.q,
                                     .rotation = of_queries,
                                     .pairs = RopePairs::half,
                                     .direction = forward,
                                     .y = call.q});
    device.backend().run(ops::Rotate{.x = call.keys,
                                     .rotation = of_keys,
                                     .pairs = RopePairs::half,
                                     .direction = forward,
                                     .y = call.keys});
  });
}

template <typename Body>
benchmark::internal::Benchmark* add(const std::string& name, Body body) {
  return benchmark::RegisterBenchmark(name.c_str(), body)
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
}

}  // namespace

std::vector<float> mixed_values(std::int64_t n) {
  constexpr std::size_t period = 65521;  // a prime: rows of a matrix differ
  std::minstd_rand random;
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> values(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = i < period ? uniform(random) : values[i - period];
  }
  return values;
}

void register_gemm(const Machine& machine, Dtype dtype, std::int64_t size,
                   const std::vector<std::int64_t>& rows) {
  const std::string side = std::to_string(size);
  auto* made = add("gemm " + std::string(name_of(dtype)) + " " + side + " x " + side + " rows",
                   [=](benchmark::State& state) { gemm(state, machine, dtype, size); });
  for (const std::int64_t m : rows) made->Arg(m);
}

void register_attention(const std::string& name, const Machine& machine, Dtype dtype,
                        const AttentionCase& c, bool training, Extras extras) {
  add(name,
      [=](benchmark::State& state) { attention(state, machine, dtype, c, training, extras); });
}

void register_attention_backward(const std::string& name, const Machine& machine, Dtype dtype,
                                 const AttentionCase& c, Extras extras) {
  add(name, [=](benchmark::State& state) { attention_backward(state, machine, dtype, c, extras); });
}

void register_rotate(const std::string& name, const Machine& machine, const AttentionCase& c) {
  add(name, [=](benchmark::State& state) { rotate(state, machine, c); });
}

}  // namespace gist::bench

// The seam between the engine and a device: memory, copies and the operations a model is made of.
//
// Operations are queued in order on the backend's one stream and may return before they have run;
// `download` and `synchronize` wait. Tensors are views of the backend's own memory and are never
// followed by the host. Unless a comment says otherwise, tensors are f32, dense and row-major, and
// an output may be the same tensor as an input of the same shape but may not overlap it otherwise.
// Every operation throws Error(internal) for shapes or dtypes that don't fit, naming the operation
// and the shapes. A Backend may be used from one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "kernels/tensor.h"

namespace gist {

class Backend;

/// Owns device memory.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Backend& backend, void* data, std::size_t bytes);
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer();

  void* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }

 private:
  Backend* backend_ = nullptr;
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

/// A weight matrix [n, k] in the backend's own layout, packed once. It may not outlive its backend.
class Matrix {
 public:
  virtual ~Matrix() = default;
  virtual std::int64_t n() const = 0;
  virtual std::int64_t k() const = 0;
  virtual std::size_t bytes() const = 0;
};

enum class Activation : std::uint8_t { silu };

/// Rotary position embedding (Su et al. 2021). Angle i of a token at position p is p * inv_freq[i],
/// computed in f32. Pairs are (i, i + rotary_dims / 2) ("half", as Hugging Face stores LLaMA) or
/// (2 i, 2 i + 1) ("interleaved"). Dimensions from rotary_dims on are copied.
struct Rope {
  Tensor inv_freq;  // [rotary_dims / 2]
  float scale = 1;  // multiplies sine and cosine (yarn's attention factor)
  int rotary_dims = 0;
  bool interleaved = false;
};

/// The keys that a batch's queries see. Row r owns queries [query_begin, query_end) of the packed
/// batch, of which the first has index `query_index` within its row, and keys
/// [key_begin, key_end) of the lists slot, begin and end. Key j stands at keys[slot[j]] and is
/// visible to the row's queries with index in [begin[j], end[j]). There is no other mask.
struct AttentionRow {
  std::int32_t query_begin = 0;
  std::int32_t query_end = 0;
  std::int32_t query_index = 0;
  std::int32_t key_begin = 0;
  std::int32_t key_end = 0;
};

struct AttentionKeys {
  Tensor rows;   // i32 [rows, 5]: AttentionRow
  Tensor slot;   // i32 [list]
  Tensor begin;  // i32 [list]
  Tensor end;    // i32 [list]
  std::int64_t visible_pairs =
      0;  // (query, key) pairs that see each other: what FLOPs are counted by
};

struct AttentionSpec {
  float scale = 1;     // of the scores, before the soft cap
  float soft_cap = 0;  // score = cap * tanh(score / cap); 0: none
};

/// How the next token of a row is chosen.
struct SamplingOptions {
  float temperature = 0;     // 0: the largest logit (the smallest id among equals)
  std::int32_t top_k = 0;    // only the k largest logits; 0: all
  float top_p = 1;           // the smallest set of largest logits with at least this probability
  std::int32_t banned = -1;  // an id that is never chosen (the gist token); -1: none
};

struct MemoryUse {
  std::size_t current = 0;    // bytes allocated now, weights included
  std::size_t peak = 0;       // the most there ever were
  std::size_t available = 0;  // bytes that could still be allocated
};

class Backend {
 public:
  virtual ~Backend() = default;

  virtual std::string_view name() const = 0;  // "cpu", "meta"

  // --- memory ---
  /// 64-byte aligned, contents undefined. Throws Error(unavailable) with the figures where there is
  /// not enough memory.
  virtual Buffer allocate(std::size_t bytes) = 0;
  /// host -> device; the host memory may be reused when the call returns.
  virtual void upload(const Tensor& target, const void* source) = 0;
  /// device -> host; waits for everything queued before. The meta backend writes zeros.
  virtual void download(const Tensor& source, void* target) = 0;
  virtual void copy(const Tensor& source, const Tensor& target) = 0;
  virtual void synchronize() = 0;
  virtual MemoryUse memory() const = 0;

  // --- weights ---
  /// Packs a weight [n, k] for gemm, in the dtype the backend computes products in.
  virtual std::unique_ptr<Matrix> pack(const HostTensor& weight) = 0;

  // --- operations ---
  /// y[m, n] = x[m, k] w[n, k]^T (+ bias[n]). `bias` may have no data.
  virtual void gemm(const Tensor& x, const Matrix& w, const Tensor& bias, const Tensor& y) = 0;
  /// y[m, d] = table[ids[m], d]. table: f32, bf16 or f16; ids: i32, each a row of the table.
  virtual void embedding(const Tensor& table, const Tensor& ids, const Tensor& y) = 0;
  /// y[m, d] = x / sqrt(mean(x^2) + eps) * weight[d] (Zhang and Sennrich 2019).
  virtual void rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& y) = 0;
  /// y = a + b.
  virtual void add(const Tensor& a, const Tensor& b, const Tensor& y) = 0;
  /// y = activation(gate) * up.
  virtual void gated_activation(Activation activation, const Tensor& gate, const Tensor& up,
                                const Tensor& y) = 0;
  /// y[m, heads, dim] = x rotated to positions[m] (i32). y may be x.
  virtual void rotate(const Tensor& x, const Tensor& positions, const Rope& rope,
                      const Tensor& y) = 0;
  /// y[i] = x[rows[i]], for rows (outermost dimension) of any dtype; rows: i32 [m].
  virtual void gather_rows(const Tensor& x, const Tensor& rows, const Tensor& y) = 0;
  /// y[rows[i]] = x[i]; rows holds no row twice.
  virtual void scatter_rows(const Tensor& x, const Tensor& rows, const Tensor& y) = 0;
  /// y[m, heads, value_dim] = softmax(scale q k^T) v over each query's visible keys, in f32; a
  /// query that sees no key yields zeros. q: [m, heads, key_dim]; keys: [slots, kv_heads, key_dim];
  /// values: [slots, kv_heads, value_dim]; query head h reads key head h / (heads / kv_heads).
  /// Online softmax over key blocks (Dao 2023); blocks that no query of a tile may see are not
  /// read.
  virtual void attention(const Tensor& q, const Tensor& keys, const Tensor& values,
                         const AttentionKeys& visible, const AttentionSpec& spec,
                         const Tensor& y) = 0;
  /// loss[i] = -log softmax(soft_cap(scale * (hidden[i] head^T + bias)))[labels[i]], and
  /// best[i] = the id of the largest logit. In chunks of rows: the logits [m, vocabulary] never
  /// exist whole. labels, best: i32 [m].
  virtual void linear_cross_entropy(const Tensor& hidden, const Matrix& head, const Tensor& bias,
                                    float scale, float soft_cap, const Tensor& labels,
                                    const Tensor& loss, const Tensor& best) = 0;
  /// x = soft_cap * tanh(scale x / soft_cap), or scale x where soft_cap is 0; in place.
  virtual void scale_and_cap(const Tensor& x, float scale, float soft_cap) = 0;
  /// ids[i] (i32) is drawn from logits[i, vocabulary] by uniform[i] in [0, 1): the smallest rank,
  /// in order of falling probability, whose cumulative probability exceeds it. Ties in order of id.
  virtual void sample(const Tensor& logits, const SamplingOptions& options, const Tensor& uniform,
                      const Tensor& ids) = 0;

 protected:
  friend class Buffer;
  virtual void release(void* data, std::size_t bytes) noexcept = 0;
};

}  // namespace gist

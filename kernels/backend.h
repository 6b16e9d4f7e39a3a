// The seam between the engine and a device: memory, copies and the operations a model is made of.
//
// Operations are queued in order on the backend's one stream and may return before they have run;
// `download` and `synchronize` wait. Tensors are views of the backend's own memory and are never
// followed by the host. Unless a comment says otherwise, tensors are f32, dense and row-major, and
// an output may be the same tensor as an input of the same shape but may not overlap it otherwise;
// those of matrix products may not at all.
// Every operation throws Error(internal) for shapes or dtypes that don't fit, naming the operation
// and the shapes, and for indices (ids, labels, rows) out of range; those a device of its own may
// find only as it computes: then `download` or `synchronize` throws. A Backend may be used from one
// thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
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

/// A weight matrix [n, k] as gemm reads it: packed once in the backend's own layout (`pack`), or
/// where it stands (`plain`). It may not outlive its backend.
class Matrix {
 public:
  virtual ~Matrix() = default;
  virtual std::int64_t n() const = 0;
  virtual std::int64_t k() const = 0;
  virtual std::size_t bytes() const = 0;
};

/// Runs work that queues the same operations again and again. It may not outlive its backend.
class Replayer {
 public:
  virtual ~Replayer() = default;
  /// Calls `work`, or queues again what an earlier call under an equal key has recorded of it. So
  /// what it queues must follow from the key: operations, addresses of tensors, contents of
  /// uploads. What differs is uploaded before. `work` may not download or synchronize, nor, but in
  /// its first call under a key, allocate: Error(internal).
  virtual void run(std::span<const std::uint64_t> /*key*/, const std::function<void()>& work) {
    work();
  }
};

/// silu(x) = x sigmoid(x); relu(x) = max(x, 0);
/// gelu_new(x) = 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))).
enum class Activation : std::uint8_t { silu, relu, gelu_new };

/// Which dimensions of a head form a pair that is rotated together: (i, i + rotary_dims / 2), as
/// Hugging Face stores LLaMA, or (2 i, 2 i + 1).
enum class RopePairs : std::uint8_t { half, interleaved };
/// `backward` rotates by the negative angle: the gradient of `forward`.
enum class RotateDirection : std::uint8_t { forward, backward };

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
  // What FLOPs are counted by: pairs of a query and a key that see each other, and pairs of a query
  // and a key that its row lists.
  std::int64_t visible_pairs = 0;
  std::int64_t listed_pairs = 0;
};

/// Elements become 0 with this probability, or else grow by 1 / (1 - probability). Which ones is
/// drawn from a counter (kernels/philox.h): a function of seed, stream and the element's index
/// alone. Streams tell the dropouts of a model and the steps of a run apart.
struct Dropout {
  float probability = 0;  // within [0, 1)
  std::uint64_t seed = 0;
  std::uint64_t stream = 0;
};

/// T5's relative position bias (Raffel et al. 2020): a score is scale * q . k plus
/// table[bucket(key position - query position), head], before the soft cap where there is one. The
/// buckets are those of transformers' T5Attention: with n of them in a direction (half of the
/// table's where bidirectional, of which the second half is for keys after the query; otherwise all
/// for keys before it, and those after it count as distance 0), n / 2 are for the smallest
/// distances, one each, and the others grow logarithmically up to max_distance; the last one takes
/// all that is beyond.
struct RelativeBias {
  Tensor table;                     // f32 [buckets, heads]; without data: no bias
  Tensor query_positions;           // i32 [m], between -2^30 and 2^30
  Tensor key_positions;             // i32 [list], likewise: parallel to AttentionKeys.slot
  std::int32_t max_distance = 128;  // above n / 2
  bool bidirectional = false;
};

struct AttentionSpec {
  float scale = 1;     // of the scores, before the soft cap
  float soft_cap = 0;  // score = cap * tanh(score / cap); 0: none
  RelativeBias bias;
  /// Dropout behind the softmax: that of query i and head h for entry j of the key
  /// list has the index (i * heads + h) * 4 (list / 4 + 1) + j, whatever the order of computation.
  Dropout dropout;
};

/// One step of AdamW (Loshchilov and Hutter 2019), in the order of PyTorch's:
///   g = gradient * min(1, max_norm / (norm + 1e-6));  w *= 1 - lr * weight_decay
///   m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
///   w -= lr / (1 - beta1^step) * m / (sqrt(v / (1 - beta2^step)) + eps)
struct AdamwOptions {
  double lr = 0;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0;
  std::int64_t decayed = INT64_MAX;  // of so many values alone, from the first on, w decays
  double max_norm = 0;               // of the gradient; 0: not clipped
  std::int64_t step = 1;             // counted from 1
};

/// A head's logits, z = soft_cap * tanh(scale x / soft_cap) of x = hidden head^T + bias (z = scale
/// x where soft_cap is 0), and the loss that is taken of them:
///   loss = log sum exp(z) - (1 - label_smoothing) z[label] - label_smoothing * (mean of z)
struct CrossEntropySpec {
  float scale = 1;
  float soft_cap = 0;
  float factor = 1;           // of the loss, in its gradient alone
  float label_smoothing = 0;  // in [0, 1): the share of the target spread over the vocabulary
                              // (Szegedy et al. 2015, section 7)
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
  std::size_t peak = 0;       // the most there were since the start, or since reset_peak
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
  /// host -> device; the host memory may be reused when the call returns. Only a backend that
  /// computes nothing takes a null source.
  virtual void upload(const Tensor& target, const void* source) = 0;
  /// device -> host; waits for everything queued before. The meta backend writes zeros.
  virtual void download(const Tensor& source, void* target) = 0;
  virtual void copy(const Tensor& source, const Tensor& target) = 0;
  virtual void synchronize() = 0;
  virtual std::unique_ptr<Replayer> replayer() { return std::make_unique<Replayer>(); }
  virtual MemoryUse memory() const = 0;
  /// memory().peak starts again from what is allocated now.
  virtual void reset_peak() = 0;

  // --- weights ---
  /// Packs a weight [n, k] for gemm, in the products' dtype. Error(data): a value isn't finite.
  virtual std::unique_ptr<Matrix> pack(const HostTensor& weight) = 0;
  /// A weight [n, k] (f32) that gemm reads where it stands, with the values that it then has.
  virtual std::unique_ptr<Matrix> plain(const Tensor& weight) = 0;

  // --- operations ---
  /// y[m, n] = x[m, k] w[n, k]^T (+ bias[n]). `bias` may have no data.
  virtual void gemm(const Tensor& x, const Matrix& w, const Tensor& bias, const Tensor& y) = 0;
  /// y[m, d] = table[ids[m], d]. table: f32, bf16 or f16; ids: i32, each a row of the table.
  virtual void embedding(const Tensor& table, const Tensor& ids, const Tensor& y) = 0;
  /// y[m, d] = x / sqrt(mean(x^2) + eps) * weight[d] (Zhang and Sennrich 2019).
  virtual void rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& y) = 0;
  /// y = a + b.
  virtual void add(const Tensor& a, const Tensor& b, const Tensor& y) = 0;
  /// y = activation(x).
  virtual void activation(Activation activation, const Tensor& x, const Tensor& y) = 0;
  /// y = activation(gate) * up.
  virtual void gated_activation(Activation activation, const Tensor& gate, const Tensor& up,
                                const Tensor& y) = 0;
  /// Rotary position embedding (Su et al. 2021): rotation[m, 2, pairs] = the cosines, then the
  /// sines, of the angles positions[m] (i32) * inv_freq[pairs], in f32, times `scale` (yarn's
  /// attention factor).
  virtual void rotation(const Tensor& positions, const Tensor& inv_freq, float scale,
                        const Tensor& rotation) = 0;
  /// y[m, heads, dim] = x with the first 2 * pairs dimensions of each head rotated by rotation[m,
  /// 2, pairs], and the others as they are. y may be x.
  virtual void rotate(const Tensor& x, const Tensor& rotation, RopePairs pairs,
                      RotateDirection direction, const Tensor& y) = 0;
  /// y[i] = x[rows[i]], for rows (outermost dimension) of any dtype; rows: i32 [m].
  virtual void gather_rows(const Tensor& x, const Tensor& rows, const Tensor& y) = 0;
  /// y[rows[i]] = x[i]; rows holds no row twice.
  virtual void scatter_rows(const Tensor& x, const Tensor& rows, const Tensor& y) = 0;
  /// y[m, heads, value_dim] = dropout(softmax(scale q k^T + bias)) v over each query's visible
  /// keys, in f32, or with the factors of both products in the dtype that the backend computes
  /// products in; a query that sees no key yields zeros. q: [m, heads, key_dim]; keys: [slots,
  /// kv_heads, key_dim]; values: [slots, kv_heads, value_dim]; query head h reads key head h /
  /// (heads / kv_heads). Online softmax over key blocks (Dao 2023); blocks that no query of a tile
  /// may see are not read. log_sum_exp[m, heads], which may have no data, is what
  /// attention_backward needs: the logarithm of each softmax' denominator, -infinity for a query
  /// that sees no key.
  virtual void attention(const Tensor& q, const Tensor& keys, const Tensor& values,
                         const AttentionKeys& visible, const AttentionSpec& spec, const Tensor& y,
                         const Tensor& log_sum_exp) = 0;
  /// loss[i] = -log softmax(soft_cap(scale * (hidden[i] head^T + bias)))[labels[i]], and
  /// best[i] = the id of the largest logit. In chunks of rows: the logits [m, vocabulary] never
  /// exist whole. labels, best: i32 [m]. A logit that isn't finite makes its row's loss NaN.
  virtual void linear_cross_entropy(const Tensor& hidden, const Matrix& head, const Tensor& bias,
                                    float scale, float soft_cap, const Tensor& labels,
                                    const Tensor& loss, const Tensor& best) = 0;
  /// x = soft_cap * tanh(scale x / soft_cap), or scale x where soft_cap is 0; in place.
  virtual void scale_and_cap(const Tensor& x, float scale, float soft_cap) = 0;
  /// ids[i] (i32) is drawn from logits[i, vocabulary] by uniform[i] in [0, 1): the smallest rank
  /// by falling probability, then id, whose cumulative probability exceeds it; -1: not all finite.
  virtual void sample(const Tensor& logits, const SamplingOptions& options, const Tensor& uniform,
                      const Tensor& ids) = 0;

  // --- training ---
  // The operations above backwards. `dx` is the gradient of the loss by x. Gradients of weights are
  // added to what their tensor holds; those of other inputs overwrite it, unless said otherwise.
  virtual void zero(const Tensor& x) = 0;
  /// y[i] = x[i] * (0 or 1 / (1 - probability)). The same call on dy gives dx.
  virtual void dropout(const Tensor& x, const Dropout& dropout, const Tensor& y) = 0;
  /// dx[m, k] = dy[m, n] w[n, k], added to what dx holds where `accumulate`.
  virtual void gemm_input_gradient(const Tensor& dy, const Tensor& w, bool accumulate,
                                   const Tensor& dx) = 0;
  /// dw[n, k] += dy[m, n]^T x[m, k]; dbias[n], which may have no data, += the sum of dy's rows.
  virtual void gemm_weight_gradient(const Tensor& dy, const Tensor& x, const Tensor& dw,
                                    const Tensor& dbias) = 0;
  /// dtable[ids[i]] += dy[i].
  virtual void embedding_backward(const Tensor& ids, const Tensor& dy, const Tensor& dtable) = 0;
  virtual void rms_norm_backward(const Tensor& x, const Tensor& weight, float eps, const Tensor& dy,
                                 const Tensor& dx, const Tensor& dweight) = 0;
  virtual void activation_backward(Activation activation, const Tensor& x, const Tensor& dy,
                                   const Tensor& dx) = 0;
  virtual void gated_activation_backward(Activation activation, const Tensor& gate,
                                         const Tensor& up, const Tensor& dy, const Tensor& dgate,
                                         const Tensor& dup) = 0;
  /// Probabilities are computed again from log_sum_exp, tile by tile (Dao 2023, algorithm 2). y and
  /// log_sum_exp are what `attention` gave. Keys that are not listed get zeros; one that is listed
  /// several times in a row gets the sum. No two rows list the same slot. dkeys and dvalues may not
  /// be keys or values. dtable[buckets, heads], the bias table's gradient, is added to; it may have
  /// no data.
  virtual void attention_backward(const Tensor& q, const Tensor& keys, const Tensor& values,
                                  const AttentionKeys& visible, const AttentionSpec& spec,
                                  const Tensor& y, const Tensor& log_sum_exp, const Tensor& dy,
                                  const Tensor& dq, const Tensor& dkeys, const Tensor& dvalues,
                                  const Tensor& dtable) = 0;
  /// linear_cross_entropy with its gradient: loss[m] as there but for label smoothing, for a head
  /// [vocabulary, d] where it stands, and the gradients of factor * (sum of loss). In chunks of
  /// rows, too.
  virtual void linear_cross_entropy_gradient(const Tensor& hidden, const Tensor& head,
                                             const Tensor& bias, const CrossEntropySpec& spec,
                                             const Tensor& labels, const Tensor& loss,
                                             const Tensor& dhidden, const Tensor& dhead,
                                             const Tensor& dbias) = 0;
  /// y[1] = the square root of the sum of x's squares.
  virtual void norm(const Tensor& x, const Tensor& y) = 0;
  /// All five of one shape but norm[1], the gradient's norm over all tensors.
  virtual void adamw(const AdamwOptions& options, const Tensor& gradient, const Tensor& norm,
                     const Tensor& weight, const Tensor& first_moment,
                     const Tensor& second_moment) = 0;

 protected:
  friend class Buffer;
  virtual void release(void* data, std::size_t bytes) noexcept = 0;
};

}  // namespace gist

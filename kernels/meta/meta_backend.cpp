#include "kernels/meta/meta_backend.h"

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <limits>

#include "kernels/checks.h"
#include "kernels/error.h"

namespace gist {
namespace {

class MetaMatrix final : public Matrix {
 public:
  MetaMatrix(Buffer storage, std::size_t bytes, std::int64_t n, std::int64_t k)
      : storage_(std::move(storage)), bytes_(bytes), n_(n), k_(k) {}
  std::int64_t n() const override { return n_; }
  std::int64_t k() const override { return k_; }
  std::size_t bytes() const override { return bytes_; }

 private:
  Buffer storage_;  // none for a plain weight
  std::size_t bytes_;
  std::int64_t n_;
  std::int64_t k_;
};

std::int64_t bytes_of(std::initializer_list<const Tensor*> tensors) {
  std::int64_t bytes = 0;
  for (const Tensor* tensor : tensors) {
    if (tensor->data != nullptr) bytes += static_cast<std::int64_t>(tensor->bytes());
  }
  return bytes;
}

class Meta final : public CountingBackend {
 public:
  explicit Meta(Dtype dtype) : dtype_(dtype) {}

  std::string_view name() const override { return "meta"; }

  Buffer allocate(std::size_t bytes) override {
    // Addresses are never followed; they only have to be distinct and look like addresses.
    const std::uintptr_t address = next_address_;
    next_address_ += (bytes + 127) / 64 * 64;
    current_ += bytes;
    peak_ = std::max(peak_, current_);
    return Buffer(*this, reinterpret_cast<void*>(address), bytes);  // NOLINT
  }
  void upload(const Tensor& target, const void*) override { count("upload", 0, {}, {&target}); }
  void download(const Tensor& source, void* target) override {
    if (source.bytes() > 0) std::memset(target, 0, source.bytes());
    count("download", 0, {&source}, {});
  }
  void copy(const Tensor& source, const Tensor& target) override {
    checks::copy(source, target);
    count("copy", 0, {&source}, {&target});
  }
  void synchronize() override {}
  MemoryUse memory() const override {
    return {current_, peak_, std::numeric_limits<std::size_t>::max() / 2};
  }
  void reset_peak() override { peak_ = current_; }

  std::unique_ptr<Matrix> pack(const HostTensor& weight) override {
    checks::pack(weight);
    const auto bytes = static_cast<std::size_t>(weight.shape.elements()) * size_of(dtype_);
    return std::make_unique<MetaMatrix>(allocate(bytes), bytes, weight.shape[0], weight.shape[1]);
  }
  std::unique_ptr<Matrix> plain(const Tensor& weight) override {
    checks::plain(weight);
    return std::make_unique<MetaMatrix>(Buffer(), weight.bytes(), weight.shape[0], weight.shape[1]);
  }

  void gemm(const Tensor& x, const Matrix& w, const Tensor& bias, const Tensor& y) override {
    const auto sizes = checks::gemm(x, w, bias, y);
    count("gemm", product_flops(sizes, bias), {&x, &bias}, {&y}, w.bytes());
  }
  void embedding(const Tensor& table, const Tensor& ids, const Tensor& y) override {
    checks::embedding(table, ids, y);
    const std::size_t rows = static_cast<std::size_t>(y.shape.elements()) * size_of(table.dtype);
    count("embedding", 0, {&ids}, {&y}, rows);
  }
  void rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& y) override {
    checks::rms_norm(x, weight, eps, y);
    count("rms_norm", 4 * x.shape.elements(), {&x, &weight}, {&y});
  }
  void add(const Tensor& a, const Tensor& b, const Tensor& y) override {
    checks::add(a, b, y);
    count("add", y.shape.elements(), {&a, &b}, {&y});
  }
  void activation(Activation, const Tensor& x, const Tensor& y) override {
    checks::activation(x, y);
    count("activation", y.shape.elements(), {&x}, {&y});
  }
  void gated_activation(Activation, const Tensor& gate, const Tensor& up,
                        const Tensor& y) override {
    checks::gated_activation(gate, up, y);
    count("gated_activation", 2 * y.shape.elements(), {&gate, &up}, {&y});
  }
  void rotation(const Tensor& positions, const Tensor& inv_freq, float scale,
                const Tensor& rotation) override {
    checks::rotation(positions, inv_freq, scale, rotation);
    count("rotation", 2 * rotation.shape.elements(), {&positions, &inv_freq}, {&rotation});
  }
  void rotate(const Tensor& x, const Tensor& rotation, RopePairs, RotateDirection,
              const Tensor& y) override {
    checks::rotate(x, rotation, y);
    const std::int64_t rotated = x.shape[0] * x.shape[1] * 2 * rotation.shape[2];
    count("rotate", 3 * rotated, {&x, &rotation}, {&y});
  }
  void gather_rows(const Tensor& x, const Tensor& rows, const Tensor& y) override {
    checks::gather_rows(x, rows, y);
    count("gather_rows", 0, {&y, &rows}, {&y});
  }
  void scatter_rows(const Tensor& x, const Tensor& rows, const Tensor& y) override {
    checks::scatter_rows(x, rows, y);
    count("scatter_rows", 0, {&x, &rows}, {&x});
  }
  void attention(const Tensor& q, const Tensor& keys, const Tensor& values,
                 const AttentionKeys& visible, const AttentionSpec& spec, const Tensor& y,
                 const Tensor& log_sum_exp) override {
    const auto s = checks::attention(q, keys, values, visible, spec, y, log_sum_exp);
    const RelativeBias& bias = spec.bias;
    const std::int64_t of_pair =
        s.heads * (2 * (s.key_dim + s.value_dim) + biased(spec) + dropped(spec));
    const std::int64_t listed = s.list * s.kv_heads * (s.key_dim + s.value_dim) * 4;
    count("attention", of_pairs(visible, of_pair),
          {&q, &visible.rows, &visible.slot, &visible.begin, &visible.end, &bias.table,
           &bias.query_positions, &bias.key_positions},
          {&y, &log_sum_exp}, static_cast<std::size_t>(listed));
  }
  void linear_cross_entropy(const Tensor& hidden, const Matrix& head, const Tensor& bias,
                            float scale, float soft_cap, const Tensor& labels, const Tensor& loss,
                            const Tensor& best) override {
    const auto sizes =
        checks::linear_cross_entropy(hidden, head, bias, scale, soft_cap, labels, loss, best);
    const std::int64_t softmax = 3 * sizes.m * sizes.n;
    count("linear_cross_entropy", product_flops(sizes, bias) + softmax, {&hidden, &bias, &labels},
          {&loss, &best}, head.bytes());
  }
  void scale_and_cap(const Tensor& x, float scale, float soft_cap) override {
    checks::scale_and_cap(x, scale, soft_cap);
    count("scale_and_cap", (soft_cap > 0 ? 3 : 1) * x.shape.elements(), {&x}, {&x});
  }
  void sample(const Tensor& logits, const SamplingOptions& options, const Tensor& uniform,
              const Tensor& ids) override {
    checks::sample(logits, options, uniform, ids);
    const std::int64_t softmax = options.temperature > 0 ? 3 * logits.shape.elements() : 0;
    count("sample", softmax, {&logits, &uniform}, {&ids});
  }

  void zero(const Tensor& x) override {
    checks::zero(x);
    count("zero", 0, {}, {&x});
  }
  void dropout(const Tensor& x, const Dropout& dropout, const Tensor& y) override {
    checks::dropout(x, dropout, y);
    count("dropout", y.shape.elements(), {&x}, {&y});
  }
  void gemm_input_gradient(const Tensor& dy, const Tensor& w, bool accumulate,
                           const Tensor& dx) override {
    const auto s = checks::gemm_input_gradient(dy, w, dx);
    const std::size_t before = accumulate ? dx.bytes() : 0;
    count("gemm_input_gradient", 2 * s.m * s.n * s.k, {&dy, &w}, {&dx}, before);
  }
  void gemm_weight_gradient(const Tensor& dy, const Tensor& x, const Tensor& dw,
                            const Tensor& dbias) override {
    const auto s = checks::gemm_weight_gradient(dy, x, dw, dbias);
    count("gemm_weight_gradient", product_flops(s, dbias), {&dy, &x, &dw, &dbias}, {&dw, &dbias});
  }
  void embedding_backward(const Tensor& ids, const Tensor& dy, const Tensor& dtable) override {
    checks::embedding_backward(ids, dy, dtable);
    count("embedding_backward", dy.shape.elements(), {&ids, &dy, &dy}, {&dy});
  }
  void rms_norm_backward(const Tensor& x, const Tensor& weight, float eps, const Tensor& dy,
                         const Tensor& dx, const Tensor& dweight) override {
    checks::rms_norm_backward(x, weight, eps, dy, dx, dweight);
    count("rms_norm_backward", 10 * x.shape.elements(), {&x, &weight, &dy, &dweight},
          {&dx, &dweight});
  }
  void activation_backward(Activation, const Tensor& x, const Tensor& dy,
                           const Tensor& dx) override {
    checks::activation_backward(x, dy, dx);
    count("activation_backward", 5 * dx.shape.elements(), {&x, &dy}, {&dx});
  }
  void gated_activation_backward(Activation, const Tensor& gate, const Tensor& up, const Tensor& dy,
                                 const Tensor& dgate, const Tensor& dup) override {
    checks::gated_activation_backward(gate, up, dy, dgate, dup);
    count("gated_activation_backward", 7 * dy.shape.elements(), {&gate, &up, &dy}, {&dgate, &dup});
  }
  void attention_backward(const Tensor& q, const Tensor& keys, const Tensor& values,
                          const AttentionKeys& visible, const AttentionSpec& spec, const Tensor& y,
                          const Tensor& log_sum_exp, const Tensor& dy, const Tensor& dq,
                          const Tensor& dkeys, const Tensor& dvalues,
                          const Tensor& dtable) override {
    const auto s = checks::attention_backward(q, keys, values, visible, spec, y, log_sum_exp, dy,
                                              dq, dkeys, dvalues, dtable);
    const RelativeBias& bias = spec.bias;
    // Scores again, and the gradients of queries and keys; those of probabilities and values.
    const std::int64_t of_pair =
        s.heads * (2 * (3 * s.key_dim + 2 * s.value_dim) +
                   (dtable.data != nullptr ? 2 : 1) * biased(spec) + 2 * dropped(spec));
    count("attention_backward", of_pairs(visible, of_pair),
          {&q, &keys, &values, &visible.rows, &visible.slot, &visible.begin, &visible.end, &y,
           &log_sum_exp, &dy, &bias.table, &bias.query_positions, &bias.key_positions, &dtable},
          {&dq, &dkeys, &dvalues, &dtable});
  }
  void linear_cross_entropy_gradient(const Tensor& hidden, const Tensor& head, const Tensor& bias,
                                     const CrossEntropySpec& spec, const Tensor& labels,
                                     const Tensor& loss, const Tensor& dhidden, const Tensor& dhead,
                                     const Tensor& dbias) override {
    const auto s = checks::linear_cross_entropy_gradient(hidden, head, bias, spec, labels, loss,
                                                         dhidden, dhead, dbias);
    const std::int64_t softmax = 5 * s.m * s.n;
    count("linear_cross_entropy_gradient", 3 * product_flops(s, bias) + softmax,
          {&hidden, &head, &bias, &labels, &dhead, &dbias}, {&loss, &dhidden, &dhead, &dbias});
  }
  void norm(const Tensor& x, const Tensor& y) override {
    checks::norm(x, y);
    count("norm", 2 * x.shape.elements(), {&x}, {&y});
  }
  void adamw(const AdamwOptions& options, const Tensor& gradient, const Tensor& norm,
             const Tensor& weight, const Tensor& first_moment,
             const Tensor& second_moment) override {
    checks::adamw(options, gradient, norm, weight, first_moment, second_moment);
    count("adamw", 12 * weight.shape.elements(),
          {&gradient, &norm, &weight, &first_moment, &second_moment},
          {&weight, &first_moment, &second_moment});
  }

  const std::map<std::string, OpCost>& costs() const override { return costs_; }
  std::int64_t total_flops() const override {
    std::int64_t flops = 0;
    for (const auto& [op, cost] : costs_) flops += cost.flops;
    return flops;
  }
  void reset_costs() override { costs_.clear(); }

 protected:
  void release(void*, std::size_t bytes) noexcept override { current_ -= bytes; }

 private:
  static std::int64_t product_flops(const checks::GemmSizes& s, const Tensor& bias) {
    return 2 * s.m * s.n * s.k + (bias.data != nullptr ? s.m * s.n : 0);
  }

  /// Operations on each score: adding the bias, multiplying for dropout.
  static std::int64_t biased(const AttentionSpec& spec) {
    return spec.bias.table.data != nullptr ? 1 : 0;
  }
  static std::int64_t dropped(const AttentionSpec& spec) {
    return spec.dropout.probability > 0 ? 1 : 0;
  }

  struct Flops {
    Flops(std::int64_t both) : visible(both), dense(both) {}  // NOLINT: most operations have one
    Flops(std::int64_t visible_pairs, std::int64_t all_pairs)
        : visible(visible_pairs), dense(all_pairs) {}
    std::int64_t visible, dense;
  };
  static Flops of_pairs(const AttentionKeys& keys, std::int64_t of_pair) {
    return {keys.visible_pairs * of_pair, keys.listed_pairs * of_pair};
  }

  void count(const char* op, const Flops& flops, std::initializer_list<const Tensor*> read,
             std::initializer_list<const Tensor*> written, std::size_t also_read = 0) {
    OpCost& cost = costs_[op];
    cost.calls += 1;
    cost.flops += flops.visible;
    cost.dense_flops += flops.dense;
    cost.bytes_read += bytes_of(read) + static_cast<std::int64_t>(also_read);
    cost.bytes_written += bytes_of(written);
  }

  Dtype dtype_;
  std::uintptr_t next_address_ = 64;
  std::size_t current_ = 0;
  std::size_t peak_ = 0;
  std::map<std::string, OpCost> costs_;
};

}  // namespace

std::unique_ptr<CountingBackend> make_meta_backend(Dtype dtype) {
  if (dtype != Dtype::f32 && dtype != Dtype::bf16) {
    fail(ErrorKind::usage, "the meta backend counts products in f32 or bf16, not in {}",
         name_of(dtype));
  }
  return std::make_unique<Meta>(dtype);
}

}  // namespace gist

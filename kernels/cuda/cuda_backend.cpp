#include "kernels/cuda/cuda_backend.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "kernels/checks.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/matmul.h"
#include "kernels/cuda/operations.h"
#include "kernels/cuda/recordings.h"
#include "kernels/error.h"
#include "kernels/finite.h"

namespace gist {
namespace {

/// A weight on the device, of the backend's own or where it stands.
class CudaMatrix final : public Matrix {
 public:
  explicit CudaMatrix(const Tensor& weight) : weight_(weight) {}
  CudaMatrix(Buffer storage, const Tensor& weight)
      : storage_(std::move(storage)), weight_(weight) {}

  std::int64_t n() const override { return weight_.shape[0]; }
  std::int64_t k() const override { return weight_.shape[1]; }
  std::size_t bytes() const override { return weight_.bytes(); }
  const Tensor& weight() const { return weight_; }

 private:
  Buffer storage_;
  Tensor weight_;
};

const Tensor& weight_of(const Matrix& matrix) {
  const auto* own = dynamic_cast<const CudaMatrix*>(&matrix);
  if (own == nullptr) {
    fail(ErrorKind::internal, "gemm: the weight [{}, {}] was packed by another backend", matrix.n(),
         matrix.k());
  }
  return own->weight();
}

bool empty(const Tensor& tensor) {
  return tensor.shape.elements() == 0;
}

class CudaBackend final : public Backend {
 public:
  explicit CudaBackend(const CudaOptions& options)
      : dtype_(options.dtype), device_(options.device), matmul_(device_, options.allow_tf32) {}

  std::string_view name() const override { return "cuda"; }

  Buffer allocate(std::size_t bytes) override {
    return Buffer(*this, bytes == 0 ? nullptr : device_.allocate(bytes), bytes);
  }
  void upload(const Tensor& target, const void* source) override {
    if (empty(target)) return;
    if (source == nullptr) fail(ErrorKind::internal, "upload: there is nothing to read");
    device_.upload(target.data, source, target.bytes());
  }
  void download(const Tensor& source, void* target) override {
    device_.download(target, source.data, source.bytes());
  }
  void copy(const Tensor& source, const Tensor& target) override {
    checks::copy(source, target);
    if (!empty(source)) device_.copy(target.data, source.data, source.bytes());
  }
  void synchronize() override { device_.synchronize(); }
  std::unique_ptr<Replayer> replayer() override {
    return std::make_unique<cuda::Recordings>(
        device_, std::vector<const cuda::Scratch*>{&rounded_, &scratch_, &sums_});
  }
  MemoryUse memory() const override { return device_.memory(); }
  void reset_peak() override { device_.reset_peak(); }

  std::unique_ptr<Matrix> pack(const HostTensor& weight) override {
    checks::pack(weight);
    Tensor tensor{nullptr, dtype_, weight.shape};
    Buffer storage = allocate(tensor.bytes());
    tensor.data = storage.data();
    upload_converted(weight, tensor);
    return std::make_unique<CudaMatrix>(std::move(storage), tensor);
  }
  std::unique_ptr<Matrix> plain(const Tensor& weight) override {
    checks::plain(weight);
    return std::make_unique<CudaMatrix>(weight);
  }

  void gemm(const Tensor& x, const Matrix& w, const Tensor& bias, const Tensor& y) override {
    checks::gemm(x, w, bias, y);
    if (begin("gemm", y)) cuda::gemm(products_, x, weight_of(w), bias, y);
  }
  void embedding(const Tensor& table, const Tensor& ids, const Tensor& y) override {
    checks::embedding(table, ids, y);
    if (begin("embedding", y)) cuda::embedding(device_, table, ids, y);
  }
  void rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& y) override {
    checks::rms_norm(x, weight, eps, y);
    if (begin("rms_norm", y)) cuda::rms_norm(device_, x, weight, eps, y);
  }
  void add(const Tensor& a, const Tensor& b, const Tensor& y) override {
    checks::add(a, b, y);
    if (begin("add", y)) cuda::add(device_, a, b, y);
  }
  void activation(Activation activation, const Tensor& x, const Tensor& y) override {
    checks::activation(x, y);
    if (begin("activation", y)) cuda::activation(device_, activation, x, y);
  }
  void gated_activation(Activation activation, const Tensor& gate, const Tensor& up,
                        const Tensor& y) override {
    checks::gated_activation(gate, up, y);
    if (begin("gated_activation", y)) cuda::gated_activation(device_, activation, gate, up, y);
  }
  void rotation(const Tensor& positions, const Tensor& inv_freq, float scale,
                const Tensor& rotation) override {
    checks::rotation(positions, inv_freq, scale, rotation);
    if (begin("rotation", rotation)) cuda::rotation(device_, positions, inv_freq, scale, rotation);
  }
  void rotate(const Tensor& x, const Tensor& rotation, RopePairs pairs, RotateDirection direction,
              const Tensor& y) override {
    checks::rotate(x, rotation, y);
    if (begin("rotate", y)) cuda::rotate(device_, x, rotation, pairs, direction, y);
  }
  void gather_rows(const Tensor& x, const Tensor& rows, const Tensor& y) override {
    checks::gather_rows(x, rows, y);
    if (begin("gather_rows", y)) cuda::gather_rows(device_, x, rows, y);
  }
  void scatter_rows(const Tensor& x, const Tensor& rows, const Tensor& y) override {
    checks::scatter_rows(x, rows, y);
    if (begin("scatter_rows", x)) cuda::scatter_rows(device_, x, rows, y);
  }
  void attention(const Tensor& q, const Tensor& keys, const Tensor& values,
                 const AttentionKeys& visible, const AttentionSpec& spec, const Tensor& y,
                 const Tensor& log_sum_exp) override {
    const auto sizes = checks::attention(q, keys, values, visible, spec, y, log_sum_exp);
    if (!begin("attention", y)) return;
    cuda::attention(device_, scratch_, dtype_, q, keys, values, visible, spec, sizes, y,
                    log_sum_exp);
  }
  void linear_cross_entropy(const Tensor& hidden, const Matrix& head, const Tensor& bias,
                            float scale, float soft_cap, const Tensor& labels, const Tensor& loss,
                            const Tensor& best) override {
    checks::linear_cross_entropy(hidden, head, bias, scale, soft_cap, labels, loss, best);
    if (!begin("linear_cross_entropy", loss)) return;
    cuda::linear_cross_entropy(products_, scratch_, hidden, weight_of(head), bias, scale, soft_cap,
                               labels, loss, best);
  }
  void scale_and_cap(const Tensor& x, float scale, float soft_cap) override {
    checks::scale_and_cap(x, scale, soft_cap);
    if (begin("scale_and_cap", x)) cuda::scale_and_cap(device_, x, scale, soft_cap);
  }
  void sample(const Tensor& logits, const SamplingOptions& options, const Tensor& uniform,
              const Tensor& ids) override {
    checks::sample(logits, options, uniform, ids);
    if (begin("sample", ids)) cuda::sample(device_, logits, options, uniform, ids);
  }

  void zero(const Tensor& x) override {
    checks::zero(x);
    if (begin("zero", x)) device_.zero(x.data, x.bytes());
  }
  void dropout(const Tensor& x, const Dropout& dropout, const Tensor& y) override {
    checks::dropout(x, dropout, y);
    if (begin("dropout", y)) cuda::dropout(device_, x, dropout, y);
  }
  void gemm_input_gradient(const Tensor& dy, const Tensor& w, bool accumulate,
                           const Tensor& dx) override {
    const auto sizes = checks::gemm_input_gradient(dy, w, dx);
    if (!begin("gemm_input_gradient", dx)) return;
    if (sizes.n > 0) {
      cuda::gemm_input_gradient(products_, dy, w, accumulate, dx);
    } else if (!accumulate) {
      device_.zero(dx.data, dx.bytes());
    }
  }
  void gemm_weight_gradient(const Tensor& dy, const Tensor& x, const Tensor& dw,
                            const Tensor& dbias) override {
    const auto sizes = checks::gemm_weight_gradient(dy, x, dw, dbias);
    if (!begin("gemm_weight_gradient", dw) || sizes.m == 0) return;
    cuda::gemm_weight_gradient(products_, sums_, dy, x, dw, dbias);
  }
  void embedding_backward(const Tensor& ids, const Tensor& dy, const Tensor& dtable) override {
    checks::embedding_backward(ids, dy, dtable);
    if (begin("embedding_backward", dy)) cuda::embedding_backward(device_, ids, dy, dtable);
  }
  void rms_norm_backward(const Tensor& x, const Tensor& weight, float eps, const Tensor& dy,
                         const Tensor& dx, const Tensor& dweight) override {
    checks::rms_norm_backward(x, weight, eps, dy, dx, dweight);
    if (!begin("rms_norm_backward", dx)) return;
    cuda::rms_norm_backward(device_, scratch_, sums_, x, weight, eps, dy, dx, dweight);
  }
  void activation_backward(Activation activation, const Tensor& x, const Tensor& dy,
                           const Tensor& dx) override {
    checks::activation_backward(x, dy, dx);
    if (begin("activation_backward", dx)) cuda::activation_backward(device_, activation, x, dy, dx);
  }
  void gated_activation_backward(Activation activation, const Tensor& gate, const Tensor& up,
                                 const Tensor& dy, const Tensor& dgate,
                                 const Tensor& dup) override {
    checks::gated_activation_backward(gate, up, dy, dgate, dup);
    if (!begin("gated_activation_backward", dy)) return;
    cuda::gated_activation_backward(device_, activation, gate, up, dy, dgate, dup);
  }
  void attention_backward(const Tensor& q, const Tensor& keys, const Tensor& values,
                          const AttentionKeys& visible, const AttentionSpec& spec, const Tensor& y,
                          const Tensor& log_sum_exp, const Tensor& dy, const Tensor& dq,
                          const Tensor& dkeys, const Tensor& dvalues,
                          const Tensor& dtable) override {
    const auto sizes = checks::attention_backward(q, keys, values, visible, spec, y, log_sum_exp,
                                                  dy, dq, dkeys, dvalues, dtable);
    begin("attention_backward", dq);
    cuda::attention_backward(device_, scratch_, dtype_, q, keys, values, visible, spec, sizes, y,
                             log_sum_exp, dy, dq, dkeys, dvalues, dtable);
  }
  void linear_cross_entropy_gradient(const Tensor& hidden, const Tensor& head, const Tensor& bias,
                                     const CrossEntropySpec& spec, const Tensor& labels,
                                     const Tensor& loss, const Tensor& dhidden, const Tensor& dhead,
                                     const Tensor& dbias) override {
    checks::linear_cross_entropy_gradient(hidden, head, bias, spec, labels, loss, dhidden, dhead,
                                          dbias);
    if (!begin("linear_cross_entropy_gradient", loss)) return;
    cuda::linear_cross_entropy_gradient(products_, scratch_, sums_, hidden, head, bias, spec,
                                        labels, loss, dhidden, dhead, dbias);
  }
  void norm(const Tensor& x, const Tensor& y) override {
    checks::norm(x, y);
    begin("norm", x);
    cuda::norm(device_, scratch_, x, y);
  }
  void adamw(const AdamwOptions& options, const Tensor& gradient, const Tensor& norm,
             const Tensor& weight, const Tensor& first_moment,
             const Tensor& second_moment) override {
    checks::adamw(options, gradient, norm, weight, first_moment, second_moment);
    if (!begin("adamw", weight)) return;
    cuda::adamw(device_, options, gradient, norm, weight, first_moment, second_moment);
  }

 protected:
  void release(void* data, std::size_t bytes) noexcept override { device_.release(data, bytes); }

 private:
  /// Whether there is anything to compute.
  bool begin(const char* operation, const Tensor& result) {
    device_.begin(operation, result.shape);
    return !empty(result);
  }

  /// A slice of the weight at a time is converted on the host.
  void upload_converted(const HostTensor& weight, const Tensor& target) {
    constexpr std::int64_t slice = std::int64_t{1} << 20;
    const std::int64_t count = weight.shape.elements();
    const bool as_it_is = weight.dtype == target.dtype;
    std::vector<float> values(static_cast<std::size_t>(as_it_is ? 0 : std::min(slice, count)));
    std::vector<std::byte> converted(values.size() * size_of(target.dtype));
    for (std::int64_t first = 0; first < count; first += slice) {
      const std::int64_t n = std::min(slice, count - first);
      const auto at = static_cast<std::size_t>(first);
      const std::byte* from = weight.data + at * size_of(weight.dtype);
      require_finite(weight, first, first + n);
      if (!as_it_is) {
        convert_to_f32(from, weight.dtype, n, values.data());
        convert_from_f32(values.data(), n, target.dtype, converted.data());
        from = converted.data();
      }
      device_.upload(static_cast<std::byte*>(target.data) + at * size_of(target.dtype), from,
                     static_cast<std::size_t>(n) * size_of(target.dtype));
    }
  }

  Dtype dtype_;
  cuda::Device device_;
  cuda::Matmul matmul_;
  cuda::Scratch rounded_{device_}, scratch_{device_}, sums_{device_};
  cuda::MatmulContext products_{device_, matmul_, dtype_, rounded_};
};

}  // namespace

std::unique_ptr<Backend> make_cuda_backend(const CudaOptions& options) {
  if (options.dtype != Dtype::f32 && options.dtype != Dtype::bf16) {
    fail(ErrorKind::usage, "the cuda backend computes products in f32 or bf16, not in {}",
         name_of(options.dtype));
  }
  return std::make_unique<CudaBackend>(options);
}

}  // namespace gist

#include "kernels/cpu/cpu_backend.h"

#include <cstring>

#include "kernels/checks.h"
#include "kernels/cpu/attention.h"
#include "kernels/cpu/attention_backward.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/memory.h"
#include "kernels/cpu/operations.h"
#include "kernels/cpu/process_limits.h"
#include "kernels/cpu/thread_pool.h"
#include "kernels/error.h"

namespace gist {
namespace {

class CpuBackend final : public Backend {
 public:
  CpuBackend(int threads, Dtype dtype)
      : threads_(threads),
        gemm_(dtype, threads_, account_),
        attention_(threads_, account_),
        attention_backward_(threads_, account_),
        scratch_(account_) {}

  std::string_view name() const override { return "cpu"; }

  Buffer allocate(std::size_t bytes) override {
    return Buffer(*this, account_.allocate(bytes), bytes);
  }
  void upload(const Tensor& target, const void* source) override {
    if (target.bytes() == 0) return;
    if (source == nullptr) fail(ErrorKind::internal, "upload: there is nothing to read");
    std::memcpy(target.data, source, target.bytes());
  }
  void download(const Tensor& source, void* target) override {
    if (source.bytes() > 0) std::memcpy(target, source.data, source.bytes());
  }
  void copy(const Tensor& source, const Tensor& target) override {
    checks::copy(source, target);
    if (source.bytes() > 0) std::memmove(target.data, source.data, source.bytes());
  }
  void synchronize() override {}
  MemoryUse memory() const override { return account_.use(); }
  void reset_peak() override { account_.reset_peak(); }

  std::unique_ptr<Matrix> pack(const HostTensor& weight) override {
    checks::pack(weight);
    return gemm_.pack(*this, weight);
  }
  std::unique_ptr<Matrix> plain(const Tensor& weight) override {
    checks::plain(weight);
    return std::make_unique<cpu::PlainMatrix>(weight);
  }

  void gemm(const Tensor& x, const Matrix& w, const Tensor& bias, const Tensor& y) override {
    checks::gemm(x, w, bias, y);
    gemm_.run(x, w, bias, y);
  }
  void embedding(const Tensor& table, const Tensor& ids, const Tensor& y) override {
    checks::embedding(table, ids, y);
    cpu::embedding(table, ids, y, threads_);
  }
  void rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& y) override {
    checks::rms_norm(x, weight, eps, y);
    cpu::rms_norm(x, weight, eps, y, threads_);
  }
  void add(const Tensor& a, const Tensor& b, const Tensor& y) override {
    checks::add(a, b, y);
    cpu::add(a, b, y, threads_);
  }
  void activation(Activation activation, const Tensor& x, const Tensor& y) override {
    checks::activation(x, y);
    cpu::activation(activation, x, y, threads_);
  }
  void gated_activation(Activation activation, const Tensor& gate, const Tensor& up,
                        const Tensor& y) override {
    checks::gated_activation(gate, up, y);
    cpu::gated_activation(activation, gate, up, y, threads_);
  }
  void rotation(const Tensor& positions, const Tensor& inv_freq, float scale,
                const Tensor& rotation) override {
    checks::rotation(positions, inv_freq, scale, rotation);
    cpu::rotation(positions, inv_freq, scale, rotation, threads_);
  }
  void rotate(const Tensor& x, const Tensor& rotation, RopePairs pairs, RotateDirection direction,
              const Tensor& y) override {
    checks::rotate(x, rotation, y);
    cpu::rotate(x, rotation, pairs, direction, y, threads_);
  }
  void gather_rows(const Tensor& x, const Tensor& rows, const Tensor& y) override {
    checks::gather_rows(x, rows, y);
    cpu::gather_rows(x, rows, y, threads_);
  }
  void scatter_rows(const Tensor& x, const Tensor& rows, const Tensor& y) override {
    checks::scatter_rows(x, rows, y);
    cpu::scatter_rows(x, rows, y, threads_);
  }
  void attention(const Tensor& q, const Tensor& keys, const Tensor& values,
                 const AttentionKeys& visible, const AttentionSpec& spec, const Tensor& y,
                 const Tensor& log_sum_exp) override {
    const auto sizes = checks::attention(q, keys, values, visible, spec, y, log_sum_exp);
    attention_.run(q, keys, values, visible, spec, sizes, y, log_sum_exp);
  }
  void linear_cross_entropy(const Tensor& hidden, const Matrix& head, const Tensor& bias,
                            float scale, float soft_cap, const Tensor& labels, const Tensor& loss,
                            const Tensor& best) override {
    checks::linear_cross_entropy(hidden, head, bias, scale, soft_cap, labels, loss, best);
    cpu::linear_cross_entropy(hidden, head, bias, scale, soft_cap, labels, loss, best, threads_,
                              gemm_, scratch_);
  }
  void scale_and_cap(const Tensor& x, float scale, float soft_cap) override {
    checks::scale_and_cap(x, scale, soft_cap);
    cpu::scale_and_cap(x, scale, soft_cap, threads_);
  }
  void sample(const Tensor& logits, const SamplingOptions& options, const Tensor& uniform,
              const Tensor& ids) override {
    checks::sample(logits, options, uniform, ids);
    cpu::sample(logits, options, uniform, ids, threads_, scratch_);
  }

  void zero(const Tensor& x) override {
    checks::zero(x);
    if (x.bytes() > 0) std::memset(x.data, 0, x.bytes());
  }
  void dropout(const Tensor& x, const Dropout& dropout, const Tensor& y) override {
    checks::dropout(x, dropout, y);
    cpu::dropout(x, dropout, y, threads_);
  }
  void gemm_input_gradient(const Tensor& dy, const Tensor& w, bool accumulate,
                           const Tensor& dx) override {
    const auto s = checks::gemm_input_gradient(dy, w, dx);
    gemm_.plain().run({static_cast<const float*>(dy.data)}, {static_cast<const float*>(w.data)},
                      s.m, s.k, s.n, accumulate, static_cast<float*>(dx.data));
  }
  void gemm_weight_gradient(const Tensor& dy, const Tensor& x, const Tensor& dw,
                            const Tensor& dbias) override {
    checks::gemm_weight_gradient(dy, x, dw, dbias);
    cpu::gemm_weight_gradient(dy, x, dw, dbias, threads_, gemm_);
  }
  void embedding_backward(const Tensor& ids, const Tensor& dy, const Tensor& dtable) override {
    checks::embedding_backward(ids, dy, dtable);
    cpu::embedding_backward(ids, dy, dtable, threads_);
  }
  void rms_norm_backward(const Tensor& x, const Tensor& weight, float eps, const Tensor& dy,
                         const Tensor& dx, const Tensor& dweight) override {
    checks::rms_norm_backward(x, weight, eps, dy, dx, dweight);
    cpu::rms_norm_backward(x, weight, eps, dy, dx, dweight, threads_, scratch_);
  }
  void activation_backward(Activation activation, const Tensor& x, const Tensor& dy,
                           const Tensor& dx) override {
    checks::activation_backward(x, dy, dx);
    cpu::activation_backward(activation, x, dy, dx, threads_);
  }
  void gated_activation_backward(Activation activation, const Tensor& gate, const Tensor& up,
                                 const Tensor& dy, const Tensor& dgate,
                                 const Tensor& dup) override {
    checks::gated_activation_backward(gate, up, dy, dgate, dup);
    cpu::gated_activation_backward(activation, gate, up, dy, dgate, dup, threads_);
  }
  void attention_backward(const Tensor& q, const Tensor& keys, const Tensor& values,
                          const AttentionKeys& visible, const AttentionSpec& spec, const Tensor& y,
                          const Tensor& log_sum_exp, const Tensor& dy, const Tensor& dq,
                          const Tensor& dkeys, const Tensor& dvalues,
                          const Tensor& dtable) override {
    const auto sizes = checks::attention_backward(q, keys, values, visible, spec, y, log_sum_exp,
                                                  dy, dq, dkeys, dvalues, dtable);
    attention_backward_.run(q, keys, values, visible, spec, sizes, y, log_sum_exp, dy,
                            {dq, dkeys, dvalues, dtable});
  }
  void linear_cross_entropy_gradient(const Tensor& hidden, const Tensor& head, const Tensor& bias,
                                     const CrossEntropySpec& spec, const Tensor& labels,
                                     const Tensor& loss, const Tensor& dhidden, const Tensor& dhead,
                                     const Tensor& dbias) override {
    checks::linear_cross_entropy_gradient(hidden, head, bias, spec, labels, loss, dhidden, dhead,
                                          dbias);
    cpu::linear_cross_entropy_gradient(hidden, head, bias, spec, labels, loss, dhidden, dhead,
                                       dbias, threads_, gemm_, scratch_);
  }
  void norm(const Tensor& x, const Tensor& y) override {
    checks::norm(x, y);
    cpu::norm(x, y, threads_, scratch_);
  }
  void adamw(const AdamwOptions& options, const Tensor& gradient, const Tensor& norm,
             const Tensor& weight, const Tensor& first_moment,
             const Tensor& second_moment) override {
    checks::adamw(options, gradient, norm, weight, first_moment, second_moment);
    cpu::adamw(options, gradient, norm, weight, first_moment, second_moment, threads_);
  }

 protected:
  void release(void* data, std::size_t bytes) noexcept override { account_.release(data, bytes); }

 private:
  cpu::ThreadPool threads_;
  cpu::MemoryAccount account_;
  cpu::Gemm gemm_;
  cpu::Attention attention_;
  cpu::AttentionBackward attention_backward_;
  cpu::Scratch scratch_;
};

}  // namespace

std::unique_ptr<Backend> make_cpu_backend(const CpuOptions& options) {
  if (options.threads < 0) {
    fail(ErrorKind::usage, "the number of threads must be 0 or more, not {}", options.threads);
  }
  if (options.dtype != Dtype::f32 && options.dtype != Dtype::bf16) {
    fail(ErrorKind::usage, "the cpu backend computes products in f32 or bf16, not in {}",
         name_of(options.dtype));
  }
  const int threads = options.threads > 0 ? options.threads : cpu::usable_threads();
  return std::make_unique<CpuBackend>(threads, options.dtype);
}

}  // namespace gist

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
      : dtype_(dtype),
        threads_(threads),
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

  Dtype products_dtype() const override { return dtype_; }
  std::unique_ptr<Matrix> pack(const HostTensor& weight) override {
    checks::pack(weight);
    return gemm_.pack(*this, weight);
  }
  std::unique_ptr<Matrix> plain(const Tensor& weight) override {
    checks::plain(weight, dtype_);
    return std::make_unique<cpu::PlainMatrix>(weight);
  }

 protected:
  void release(void* data, std::size_t bytes) noexcept override { account_.release(data, bytes); }
  void compute(const Operation& operation) override {
    std::visit([this](const auto* op) { cpu::compute(*op, context_); }, operation);
  }

 private:
  Dtype dtype_;
  cpu::ThreadPool threads_;
  cpu::MemoryAccount account_;
  cpu::Gemm gemm_;
  cpu::Attention attention_;
  cpu::AttentionBackward attention_backward_;
  cpu::Scratch scratch_;
  cpu::Context context_{threads_, gemm_, attention_, attention_backward_, scratch_};
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

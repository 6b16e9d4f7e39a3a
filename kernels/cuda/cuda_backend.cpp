#include "kernels/cuda/cuda_backend.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "kernels/checks.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/matmul.h"
#include "kernels/cuda/matrix.h"
#include "kernels/cuda/operations.h"
#include "kernels/cuda/recordings.h"
#include "kernels/error.h"
#include "kernels/finite.h"

namespace gist {
namespace {

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

  Dtype products_dtype() const override { return dtype_; }
  std::unique_ptr<Matrix> pack(const HostTensor& weight) override {
    checks::pack(weight);
    Tensor tensor{nullptr, dtype_, weight.shape};
    Buffer storage = allocate(tensor.bytes());
    tensor.data = storage.data();
    upload_converted(weight, tensor);
    return std::make_unique<cuda::CudaMatrix>(std::move(storage), tensor);
  }
  std::unique_ptr<Matrix> plain(const Tensor& weight) override {
    checks::plain(weight, dtype_);
    return std::make_unique<cuda::CudaMatrix>(weight);
  }

 protected:
  void release(void* data, std::size_t bytes) noexcept override { device_.release(data, bytes); }
  void compute(const Operation& operation) override {
    std::visit([this](const auto* op) { cuda::compute(*op, context_); }, operation);
  }

 private:
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
  cuda::Context context_{device_, matmul_, dtype_, rounded_, scratch_, sums_};
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

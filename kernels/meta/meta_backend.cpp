#include "kernels/meta/meta_backend.h"

#include <algorithm>
#include <cstring>
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
  void upload(const Tensor& target, const void*) override {
    costs_["upload"] += one_call(0, {}, {&target});
  }
  void download(const Tensor& source, void* target) override {
    if (source.bytes() > 0) std::memset(target, 0, source.bytes());
    costs_["download"] += one_call(0, {&source}, {});
  }
  void copy(const Tensor& source, const Tensor& target) override {
    checks::copy(source, target);
    costs_["copy"] += one_call(0, {&source}, {&target});
  }
  void synchronize() override {}
  MemoryUse memory() const override {
    return {current_, peak_, std::numeric_limits<std::size_t>::max() / 2};
  }
  void reset_peak() override { peak_ = current_; }

  Dtype products_dtype() const override { return dtype_; }
  std::unique_ptr<Matrix> pack(const HostTensor& weight) override {
    checks::pack(weight);
    const auto bytes = static_cast<std::size_t>(weight.shape.elements()) * size_of(dtype_);
    return std::make_unique<MetaMatrix>(allocate(bytes), bytes, weight.shape[0], weight.shape[1]);
  }
  std::unique_ptr<Matrix> plain(const Tensor& weight) override {
    checks::plain(weight, dtype_);
    return std::make_unique<MetaMatrix>(Buffer(), weight.bytes(), weight.shape[0], weight.shape[1]);
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
  void compute(const Operation& operation) override {
    std::visit([this](const auto* op) { costs_[op->name] += cost(*op); }, operation);
  }

 private:
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

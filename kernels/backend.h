// The seam between the engine and a device: memory, copies and the operations a model is made of.
//
// Operations are queued in order on the backend's one stream and may return before they have run;
// `download` and `synchronize` wait. Tensors are views of the backend's own memory and are never
// followed by the host. Every operation (kernels/operation.h) throws Error(internal) for what its
// check refuses, and for indices (ids, labels, rows) out of range; those a device of its own may
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
#include <variant>

#include "kernels/matrix.h"
#include "kernels/operation.h"
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
  /// What factors of products are rounded to: f32, which rounds nothing, or bf16.
  virtual Dtype products_dtype() const = 0;
  /// Packs a weight [n, k] for gemm, in the products' dtype. Error(data): a value isn't finite.
  virtual std::unique_ptr<Matrix> pack(const HostTensor& weight) = 0;
  /// A weight [n, k], f32 or in the products' dtype, that gemm reads where it stands, with the values
  /// that it then has.
  virtual std::unique_ptr<Matrix> plain(const Tensor& weight) = 0;

  // --- operations ---
  /// Checks and queues one: run(ops::Add{.a = a, .b = b, .y = y}).
  template <typename Op>
  void run(const Op& op) {
    check(op);
    compute(Operation(std::in_place_type<const Op*>, &op));
  }

 protected:
  friend class Buffer;
  /// `operation` has been checked.
  virtual void compute(const Operation& operation) = 0;
  virtual void release(void* data, std::size_t bytes) noexcept = 0;
};

}  // namespace gist

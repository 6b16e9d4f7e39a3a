// One CUDA device as the backend uses it: its stream, its memory, and what went wrong on it.
// device.cpp is this over the CUDA runtime; tests/cuda/emulation has another that runs on the host.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "kernels/backend.h"
#include "kernels/scratch.h"

namespace gist::cuda {

struct DeviceLimits {
  std::string name;                     // as the driver calls it
  int multiprocessors = 1;              //
  std::size_t shared_bytes = 48 << 10;  // the most a block may ask for
};

/// What a kernel found wrong in its input: the first one that any thread met. It stands in memory
/// that host and device see.
struct Fault {
  unsigned long long what =
      0;  // the host's address of a static text, "embedding: expected ids"; 0: none
  int index = 0;
  int value = 0;
  int limit = 0;  // value should be within [0, limit)
};

/// Throws Error(internal) if there is one, and forgets it.
void throw_fault(Fault& fault);

/// Calls that fail throw Error(unavailable) with the operation that was being queued, its shape and
/// the device.
class Device {
 public:
  /// Throws Error(unavailable) where there is no such device, or it can't be used.
  explicit Device(int index);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  cudaStream_t stream() const;
  const DeviceLimits& limits() const;

  /// The operation whose kernels are started next, and the shape of its result: what errors name.
  /// `operation` is a text that stays.
  void begin(const char* operation, const Shape& shape);
  const char* operation() const;
  /// Throws if the kernel that was started last could not be.
  void check_launch();
  /// What kernels report faults to; `synchronize` and `download` throw Error(internal) for one.
  Fault* fault() const;

  /// 256-byte aligned. Throws Error(unavailable) with the figures where there is not enough memory.
  /// What is released is kept for later calls, which are queued behind those that still use it.
  void* allocate(std::size_t bytes);
  void release(void* data, std::size_t bytes) noexcept;
  MemoryUse memory() const;
  void reset_peak();

  void upload(void* target, const void* source, std::size_t bytes);
  void download(void* target, const void* source, std::size_t bytes);
  void copy(void* target, const void* source, std::size_t bytes);
  void zero(void* target, std::size_t bytes);
  void synchronize();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

using Scratch = GrowingScratch<Device>;

}  // namespace gist::cuda

// One CUDA device as the backend uses it: its stream, its memory, and what went wrong on it.
// device.cpp is this over the CUDA runtime; tests/cuda/emulation has another that runs on the host.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <functional>
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

/// A Fault is what a kernel found wrong in its input: the first one that any thread met. It stands
/// in memory that host and device see.
struct Fault {
  unsigned long long what =
      0;  // the host's address of a static text, "embedding: expected ids"; 0: none
  int index = 0;
  int value = 0;
  int limit = 0;  // value should be within [0, limit)
};

/// Throws Error(internal) if there is one, and forgets it.
void throw_fault(Fault& fault);

/// Throws Error(internal) for what recorded work may not do, such as "a download".
[[noreturn]] void refuse_while_recording(const char* call, const char* operation);

/// Operations that a device has recorded and can queue again. It may not outlive the device.
class Graph {
 public:
  struct State;
  explicit Graph(std::unique_ptr<State> state);
  Graph(Graph&& other) noexcept;
  Graph& operator=(Graph&& other) noexcept;
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  ~Graph();

 private:
  friend class Device;
  std::unique_ptr<State> state_;
};

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
  /// Returns what kernels report faults to; `synchronize` and `download` throw Error(internal) for
  /// one.
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

  /// Records what `work` queues, which does not run. An upload keeps what it read, and brings it
  /// each time. `work` may not allocate, download or synchronize: Error(internal).
  Graph record(const std::function<void()>& work);
  void replay(const Graph& graph);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

using Scratch = GrowingScratch<Device>;

}  // namespace gist::cuda

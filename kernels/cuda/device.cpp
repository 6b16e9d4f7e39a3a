#include "kernels/cuda/device.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "kernels/cuda/handle.h"
#include "kernels/error.h"

namespace gist::cuda {
namespace {

/// Uploads go through two pinned buffers of this size in turn: one is filled while the other one's
/// copy runs.
constexpr std::size_t staging_bytes = std::size_t{4} << 20;

constexpr double mebibytes(std::size_t bytes) {
  return static_cast<double>(bytes) / (1 << 20);
}

struct PinnedBuffer {
  void* data = nullptr;
  cudaEvent_t copied = nullptr;
};

using RecordedGraph = Owned<cudaGraph_t, cudaGraphDestroy>;
using PinnedCopy = Owned<void*, cudaFreeHost>;

}  // namespace

struct Graph::State {
  explicit State(cudaStream_t stream_) : stream(stream_) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { cudaStreamSynchronize(stream); }  // it may still read its copies

  cudaStream_t stream;
  std::vector<PinnedCopy> uploads;
  Owned<cudaGraphExec_t, cudaGraphExecDestroy> executable;
};

Graph::Graph(std::unique_ptr<State> state) : state_(std::move(state)) {}
Graph::Graph(Graph&& other) noexcept = default;
Graph& Graph::operator=(Graph&& other) noexcept = default;
Graph::~Graph() = default;

struct Device::State {
  int index = 0;
  DeviceLimits limits;
  cudaStream_t stream = nullptr;
  cudaMemPool_t pool = nullptr;
  std::array<PinnedBuffer, 2> staging;
  std::size_t next_staging = 0;
  Fault* fault = nullptr;  // pinned: the host reads it without a copy
  const char* operation = "opening the device";
  Shape shape;
  std::size_t current = 0;
  std::size_t peak = 0;
  Graph::State* recording = nullptr;  // into it, if any
  std::vector<void*> released;        // while recording: they go once it has ended

  void check(cudaError_t status) const {
    if (status == cudaSuccess) return;
    fail(ErrorKind::unavailable, "cuda:{} ({}): {} {}: {}", index, limits.name, operation,
         to_string(shape), cudaGetErrorString(status));
  }
  /// Whichever thread of the host calls: each has a current device of its own.
  void make_current() const { check(cudaSetDevice(index)); }
  /// Free memory of the device, and what the pool keeps for later.
  std::size_t available() const {
    make_current();
    std::size_t free = 0, total = 0;
    check(cudaMemGetInfo(&free, &total));
    unsigned long long reserved = 0, used = 0;
    check(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrReservedMemCurrent, &reserved));
    check(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrUsedMemCurrent, &used));
    return free + static_cast<std::size_t>(reserved - used);
  }
  void refuse_while_recording(const char* call) const {
    if (recording != nullptr) cuda::refuse_while_recording(call, operation);
  }
  void record_upload(void* target, const void* source, std::size_t bytes) {
    // Host memory can be had in between, as nothing of it is recorded.
    cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
    check(cudaThreadExchangeStreamCaptureMode(&mode));
    void* copy = nullptr;
    const cudaError_t status = cudaMallocHost(&copy, bytes);
    check(cudaThreadExchangeStreamCaptureMode(&mode));
    check(status);
    recording->uploads.emplace_back(copy);
    std::memcpy(copy, source, bytes);
    check(cudaMemcpyAsync(target, copy, bytes, cudaMemcpyHostToDevice, stream));
  }
  cudaError_t end_recording(RecordedGraph& recorded) {
    recording = nullptr;
    cudaGraph_t graph = nullptr;
    const cudaError_t status = cudaStreamEndCapture(stream, &graph);
    recorded.reset(graph);
    cudaGetLastError();  // forgets it: the stream is well
    for (void* data : std::exchange(released, {})) cudaFreeAsync(data, stream);
    return status;
  }
  ~State() {
    // Errors can't be reported from here; the process' end frees all that is left.
    if (stream != nullptr) cudaStreamSynchronize(stream);
    for (const PinnedBuffer& buffer : staging) {
      if (buffer.copied != nullptr) cudaEventDestroy(buffer.copied);
      if (buffer.data != nullptr) cudaFreeHost(buffer.data);
    }
    if (fault != nullptr) cudaFreeHost(fault);
    if (stream != nullptr) cudaStreamDestroy(stream);
  }
};

Device::Device(int index) : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.index = index;
  s.make_current();
  cudaDeviceProp properties{};
  s.check(cudaGetDeviceProperties(&properties, index));
  s.limits = {properties.name, properties.multiProcessorCount, properties.sharedMemPerBlockOptin};
  s.check(cudaStreamCreateWithFlags(&s.stream, cudaStreamNonBlocking));
  // The driver's stream-ordered pool is the caching pool: nothing goes back until the end.
  s.check(cudaDeviceGetDefaultMemPool(&s.pool, index));
  unsigned long long keep = ~0ULL;
  s.check(cudaMemPoolSetAttribute(s.pool, cudaMemPoolAttrReleaseThreshold, &keep));
  for (PinnedBuffer& buffer : s.staging) {
    s.check(cudaMallocHost(&buffer.data, staging_bytes));
    s.check(cudaEventCreateWithFlags(&buffer.copied, cudaEventDisableTiming));
  }
  void* fault = nullptr;
  s.check(cudaMallocHost(&fault, sizeof(Fault)));
  s.fault = new (fault) Fault;
}

Device::~Device() = default;

cudaStream_t Device::stream() const {
  return state_->stream;
}
const DeviceLimits& Device::limits() const {
  return state_->limits;
}
void Device::begin(const char* operation, const Shape& shape) {
  state_->operation = operation;
  state_->shape = shape;
  state_->make_current();
}
const char* Device::operation() const {
  return state_->operation;
}
void Device::check_launch() {
  state_->check(cudaGetLastError());
}
Fault* Device::fault() const {
  return state_->fault;
}

void* Device::allocate(std::size_t bytes) {
  if (bytes == 0) return nullptr;
  State& s = *state_;
  s.refuse_while_recording("memory is allocated");
  void* data = nullptr;
  const cudaError_t status = cudaMallocFromPoolAsync(&data, bytes, s.pool, s.stream);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // forgets it: the device is well
    fail(ErrorKind::unavailable,
         "cuda:{} ({}): not enough memory: {:.1f} MiB more are needed, {:.1f} MiB are in use and "
         "{:.1f} MiB are available; use a smaller model or batch, bf16, or a device with more "
         "memory",
         s.index, s.limits.name, mebibytes(bytes), mebibytes(s.current), mebibytes(s.available()));
  }
  s.check(status);
  s.current += bytes;
  s.peak = std::max(s.peak, s.current);
  return data;
}

void Device::release(void* data, std::size_t bytes) noexcept {
  if (data == nullptr) return;
  State& s = *state_;
  s.current -= bytes;
  if (s.recording != nullptr) return s.released.push_back(data);
  cudaFreeAsync(data, s.stream);  // an error shows at the next call that is checked
}

MemoryUse Device::memory() const {
  return {state_->current, state_->peak, state_->available()};
}
void Device::reset_peak() {
  state_->peak = state_->current;
}

void Device::upload(void* target, const void* source, std::size_t bytes) {
  State& s = *state_;
  if (s.recording != nullptr) return s.record_upload(target, source, bytes);
  const auto* from = static_cast<const std::byte*>(source);
  auto* to = static_cast<std::byte*>(target);
  for (std::size_t done = 0; done < bytes; done += staging_bytes) {
    const std::size_t size = std::min(staging_bytes, bytes - done);
    const PinnedBuffer& buffer = s.staging[s.next_staging];
    s.next_staging = 1 - s.next_staging;
    s.check(cudaEventSynchronize(buffer.copied));
    std::memcpy(buffer.data, from + done, size);
    s.check(cudaMemcpyAsync(to + done, buffer.data, size, cudaMemcpyHostToDevice, s.stream));
    s.check(cudaEventRecord(buffer.copied, s.stream));
  }
}

void Device::download(void* target, const void* source, std::size_t bytes) {
  State& s = *state_;
  s.refuse_while_recording("a download");
  if (bytes > 0) {
    s.check(cudaMemcpyAsync(target, source, bytes, cudaMemcpyDeviceToHost, s.stream));
  }
  synchronize();
}

void Device::copy(void* target, const void* source, std::size_t bytes) {
  State& s = *state_;
  if (bytes == 0 || target == source) return;
  s.check(cudaMemcpyAsync(target, source, bytes, cudaMemcpyDeviceToDevice, s.stream));
}

void Device::zero(void* target, std::size_t bytes) {
  if (bytes > 0) state_->check(cudaMemsetAsync(target, 0, bytes, state_->stream));
}

void Device::synchronize() {
  state_->refuse_while_recording("a synchronisation");
  state_->check(cudaStreamSynchronize(state_->stream));
  throw_fault(*state_->fault);
}

Graph Device::record(const std::function<void()>& work) {
  State& s = *state_;
  begin("recording operations", {});
  s.refuse_while_recording("another recording");
  auto graph = std::make_unique<Graph::State>(s.stream);
  RecordedGraph recorded;
  s.check(cudaStreamBeginCapture(s.stream, cudaStreamCaptureModeThreadLocal));
  s.recording = graph.get();
  try {
    work();
  } catch (...) {
    s.end_recording(recorded);
    throw;
  }
  begin("recording operations", {});
  s.check(s.end_recording(recorded));
  cudaGraphExec_t executable = nullptr;
  s.check(cudaGraphInstantiate(&executable, recorded.get(), 0));
  graph->executable.reset(executable);
  return Graph(std::move(graph));
}

void Device::replay(const Graph& graph) {
  begin("replaying operations", {});
  state_->check(cudaGraphLaunch(graph.state_->executable.get(), state_->stream));
}

}  // namespace gist::cuda

// kernels/cuda/device.h on the host: every allocation stands alone, so that the address sanitizer
// sees each access beyond it.
#include "kernels/cuda/device.h"

#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include "kernels/cpu/memory.h"
#include "kernels/cuda/launch.h"
#include "kernels/error.h"
#include "tests/cuda/emulation/stream.h"

namespace gist::cuda {

struct Graph::State {
  emulation::Stream::Operations operations;
};

Graph::Graph(std::unique_ptr<State> state) : state_(std::move(state)) {}
Graph::Graph(Graph&& other) noexcept = default;
Graph& Graph::operator=(Graph&& other) noexcept = default;
Graph::~Graph() = default;

struct Device::State {
  DeviceLimits limits{"emulated", 4, std::size_t{227} << 10};
  const char* operation = "none";
  Fault fault;
  cpu::MemoryAccount account;
  emulation::Stream stream;

  void refuse_while_recording(const char* call) const {
    if (stream.recording()) cuda::refuse_while_recording(call, operation);
  }
};

Device::Device(int) : state_(std::make_unique<State>()) {}
Device::~Device() = default;

cudaStream_t Device::stream() const {
  return &state_->stream;
}
const DeviceLimits& Device::limits() const {
  return state_->limits;
}
void Device::begin(const char* operation, const Shape&) {
  state_->operation = operation;
}
const char* Device::operation() const {
  return state_->operation;
}
void Device::check_launch() {}
Fault* Device::fault() const {
  return &state_->fault;
}

void* Device::allocate(std::size_t bytes) {
  state_->refuse_while_recording("memory is allocated");
  void* data = state_->account.allocate(bytes);
  if (data != nullptr) std::memset(data, 0xFF, bytes);  // NaN, where nothing writes
  return data;
}
void Device::release(void* data, std::size_t bytes) noexcept {
  state_->account.release(data, bytes);
}
MemoryUse Device::memory() const {
  return state_->account.use();
}
void Device::reset_peak() {
  state_->account.reset_peak();
}

void Device::upload(void* target, const void* source, std::size_t bytes) {
  const auto* from = static_cast<const std::byte*>(source);
  state_->stream.queue([target, read = std::vector<std::byte>(from, from + bytes)] {
    if (!read.empty()) std::memcpy(target, read.data(), read.size());
  });
}
void Device::download(void* target, const void* source, std::size_t bytes) {
  state_->refuse_while_recording("a download");
  synchronize();
  if (bytes > 0) std::memcpy(target, source, bytes);
}
void Device::copy(void* target, const void* source, std::size_t bytes) {
  state_->stream.queue([=] {
    if (bytes > 0) std::memmove(target, source, bytes);
  });
}
void Device::zero(void* target, std::size_t bytes) {
  state_->stream.queue([=] {
    if (bytes > 0) std::memset(target, 0, bytes);
  });
}
void Device::synchronize() {
  state_->refuse_while_recording("a synchronisation");
  throw_fault(state_->fault);
}

Graph Device::record(const std::function<void()>& work) {
  begin("recording operations", {});
  state_->refuse_while_recording("another recording");
  auto graph = std::make_unique<Graph::State>();
  state_->stream.begin_recording();
  try {
    work();
  } catch (...) {
    state_->stream.end_recording();
    throw;
  }
  graph->operations = state_->stream.end_recording();
  return Graph(std::move(graph));
}

void Device::replay(const Graph& graph) {
  begin("replaying operations", {});
  state_->stream.replay(graph.state_->operations);
}

}  // namespace gist::cuda

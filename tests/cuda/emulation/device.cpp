// kernels/cuda/device.h on the host: every allocation stands alone, so that the address sanitizer
// sees each access beyond it.
#include "kernels/cuda/device.h"

#include <cstdlib>
#include <cstring>

#include "kernels/cpu/memory.h"
#include "kernels/cuda/launch.h"
#include "kernels/error.h"

namespace gist::cuda {

struct Device::State {
  DeviceLimits limits{"emulated", 4, std::size_t{227} << 10};
  const char* operation = "none";
  Fault fault;
  cpu::MemoryAccount account;
};

Device::Device(int) : state_(std::make_unique<State>()) {}
Device::~Device() = default;

cudaStream_t Device::stream() const {
  return nullptr;
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
  if (bytes > 0) std::memcpy(target, source, bytes);
}
void Device::download(void* target, const void* source, std::size_t bytes) {
  synchronize();
  if (bytes > 0) std::memcpy(target, source, bytes);
}
void Device::copy(void* target, const void* source, std::size_t bytes) {
  if (bytes > 0) std::memmove(target, source, bytes);
}
void Device::zero(void* target, std::size_t bytes) {
  if (bytes > 0) std::memset(target, 0, bytes);
}
void Device::synchronize() {
  throw_fault(state_->fault);
}

}  // namespace gist::cuda

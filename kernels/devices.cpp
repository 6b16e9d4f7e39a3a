#include "kernels/devices.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <string_view>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/cuda_loader.h"
#include "kernels/error.h"

namespace gist {
namespace {

/// The N of cuda:N; none where the name isn't one of those.
std::optional<int> cuda_index(const std::string& name) {
  constexpr std::string_view prefix = "cuda:";
  if (!name.starts_with(prefix)) return std::nullopt;
  int index = 0;
  const char* end = name.data() + name.size();
  const auto parsed = std::from_chars(name.data() + prefix.size(), end, index);
  if (parsed.ec != std::errc() || parsed.ptr != end || index < 0) return std::nullopt;
  return index;
}

std::unique_ptr<Backend> open_cuda(int index, const DeviceOptions& options) {
  CudaOptions cuda;
  cuda.device = index;
  cuda.dtype = options.dtype;
  cuda.allow_tf32 = options.allow_tf32;
  return open_cuda_backend(cuda);
}

Device as_device(const CudaDevice& cuda) {
  return {fmt::format("cuda:{}", cuda.index), cuda.name, cuda.memory_bytes, cuda.unusable};
}

/// The first CUDA device that can be used; null where there is none.
std::unique_ptr<Backend> first_usable_cuda(const DeviceOptions& options,
                                           const DeviceEvents& events) {
  for (const CudaDevice& cuda : find_cuda_devices().devices) {
    const Device device = as_device(cuda);
    std::string reason = device.unusable;
    if (reason.empty()) {
      try {
        std::unique_ptr<Backend> backend = open_cuda(cuda.index, options);
        if (events.chosen) events.chosen(device);
        return backend;
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::unavailable) throw;
        reason = error.what();
      }
    }
    if (events.passed_over) events.passed_over(device, reason);
  }
  return nullptr;
}

}  // namespace

DeviceList find_devices() {
  const CudaDevices cuda = find_cuda_devices();
  DeviceList list{{{"cpu", "", 0, ""}}, cuda.none};
  for (const CudaDevice& device : cuda.devices) list.devices.push_back(as_device(device));
  return list;
}

std::unique_ptr<Backend> open_device(const std::string& name, const DeviceOptions& options,
                                     const DeviceEvents& events) {
  if (const std::optional<int> index = cuda_index(name)) return open_cuda(*index, options);
  if (name == "auto") {
    if (std::unique_ptr<Backend> backend = first_usable_cuda(options, events)) return backend;
  } else if (name != "cpu") {
    fail(ErrorKind::usage, "expected auto, cpu or cuda:N, found \"{}\"", name);
  }
  if (options.allow_tf32) {
    fail(ErrorKind::usage, "products in TF32 are for CUDA devices: name one, cuda:N");
  }
  CpuOptions cpu;
  cpu.dtype = options.dtype;
  cpu.threads = options.threads;
  return make_cpu_backend(cpu);
}

}  // namespace gist

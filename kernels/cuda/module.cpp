#include "kernels/cuda/module.h"

#include <cuda_runtime.h>

#include "kernels/cuda/device.h"
#include "kernels/error.h"

namespace gist {
namespace {

/// Kernels are compiled for this compute capability and above.
constexpr int least_major = 8;

std::vector<CudaDevice> devices() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaErrorInsufficientDriver) {
    int driver = 0;
    cudaDriverGetVersion(&driver);
    if (driver == 0) fail(ErrorKind::unavailable, "no NVIDIA driver is installed");
    fail(ErrorKind::unavailable,
         "the NVIDIA driver is too old: it is for CUDA {}.{}, needed is {}.{}; update the driver",
         driver / 1000, driver % 1000 / 10, CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
  }
  if (status == cudaErrorNoDevice) count = 0;
  if (status != cudaSuccess && status != cudaErrorNoDevice) {
    fail(ErrorKind::unavailable, "CUDA can't be used: {}", cudaGetErrorString(status));
  }
  std::vector<CudaDevice> found;
  for (int index = 0; index < count; ++index) {
    CudaDevice device;
    device.index = index;
    cudaDeviceProp properties{};
    const cudaError_t read = cudaGetDeviceProperties(&properties, index);
    if (read == cudaSuccess) {
      device.name = properties.name;
      device.memory_bytes = properties.totalGlobalMem;
      if (properties.major < least_major) {
        device.unusable = fmt::format("compute capability {}.{}, needed is {}.0 or above",
                                      properties.major, properties.minor, least_major);
      }
    } else {
      device.unusable = cudaGetErrorString(read);
    }
    found.push_back(std::move(device));
  }
  return found;
}

}  // namespace
}  // namespace gist

extern "C" {
// NOLINTNEXTLINE(misc-use-internal-linkage): what the module exports
__attribute__((visibility("default"))) extern const gist::CudaModule gist_cuda_module;
const gist::CudaModule gist_cuda_module{gist::cuda_module_build, gist::devices,
                                        gist::make_cuda_backend};
}

// Opens the CUDA module (kernels/cuda/module.h) where there is one.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "kernels/cuda/module.h"

namespace gist {

/// PREFIX/lib/gist/gist_cuda.so of where gist is installed (kernels/installation.h).
std::filesystem::path cuda_module_path();

struct CudaDevices {
  std::vector<CudaDevice> devices;
  std::string none;  // why there are none: no module, no driver, no device
};

/// Returns what `--device cuda:N` could mean here. It never throws for a machine without CUDA.
CudaDevices find_cuda_devices();

/// Throws Error(unavailable) with the reason where the device can't be used, or doesn't compute
/// what the CPU computes.
std::unique_ptr<Backend> open_cuda_backend(const CudaOptions& options);

}  // namespace gist

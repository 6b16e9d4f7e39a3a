// The CUDA module, the library that gist opens at run time, exports this, so that one gist starts
// on machines with no driver. Both sides are built from one tree; `build` tells when they were not.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernels/cuda/cuda_backend.h"

namespace gist {

struct CudaDevice {
  int index = 0;
  std::string name;
  std::size_t memory_bytes = 0;
  std::string unusable;  // why it can't be used; empty: it can
};

struct CudaModule {
  const char* build = nullptr;  // GIST_VERSION and the compiler
  /// The devices of this machine. Throws Error(unavailable) where the driver is missing or too old.
  std::vector<CudaDevice> (*devices)() = nullptr;
  std::unique_ptr<Backend> (*open)(const CudaOptions& options) = nullptr;
};

constexpr const char* cuda_module_symbol = "gist_cuda_module";
constexpr const char* cuda_module_build = GIST_VERSION " g++ " __VERSION__;

}  // namespace gist

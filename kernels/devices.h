// Devices that compute, by name: "cpu", or "cuda:N", the N-th of the CUDA devices.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels/backend.h"

namespace gist {

struct Device {
  std::string name;                // "cpu", "cuda:0"
  std::string model;               // "NVIDIA H200"; "" for the CPU
  std::uint64_t memory_bytes = 0;  // of a CUDA device
  std::string unusable;            // why it can't be used; "": it can
};

struct DeviceList {
  std::vector<Device> devices;  // the CPU first
  std::string no_cuda;          // why there are no CUDA devices; "" where there are some
};

/// Never throws for a machine without CUDA.
DeviceList find_devices();

struct DeviceOptions {
  Dtype dtype = Dtype::f32;  // f32 or bf16: of packed weights and of the products' inputs
  int threads = 0;           // of the CPU; 0: as many as the process may use
  bool allow_tf32 = false;   // of CUDA devices: products of f32 may round their inputs to TF32
};

/// DeviceEvents hear what "auto" found on its way; either may be empty.
struct DeviceEvents {
  std::function<void(const Device&)> chosen;  // a CUDA device
  /// A CUDA device that is there, but doesn't serve.
  std::function<void(const Device&, const std::string& reason)> passed_over;
};

/// Opens the device `name`; "auto" means the first CUDA device that can be used, else the CPU.
/// Throws Error(usage) for another name, or allow_tf32 on the CPU; Error(unavailable) with the
/// reason where the device can't be used, or doesn't compute what the CPU computes.
std::unique_ptr<Backend> open_device(const std::string& name, const DeviceOptions& options,
                                     const DeviceEvents& events = {});

}  // namespace gist

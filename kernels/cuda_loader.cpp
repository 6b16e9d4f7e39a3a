#include "kernels/cuda_loader.h"

#include <string_view>
#include <system_error>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/error.h"
#include "kernels/installation.h"
#include "kernels/self_check.h"
#include "kernels/unclosed_library.h"

namespace gist {
namespace {

namespace fs = std::filesystem;

const CudaModule& load_module() {
  const fs::path path = cuda_module_path();
  std::error_code error;
  if (!fs::exists(path, error)) {
    fail(ErrorKind::unavailable, "this gist has no CUDA module ({} does not exist)", path.string());
  }
  // The driver first: without one, there is no need to load all that the module needs.
  UnclosedLibrary driver, library;
  if (const std::string reason = driver.open("libcuda.so.1", UnclosedLibrary::Search::system);
      !reason.empty()) {
    fail(ErrorKind::unavailable, "there is no NVIDIA driver: {}", reason);
  }
  if (const std::string reason = library.open(path); !reason.empty()) {
    fail(ErrorKind::unavailable, "the CUDA module can't be loaded: {}", reason);
  }
  const void* symbol = library.symbol(cuda_module_symbol);
  if (symbol == nullptr) {
    fail(ErrorKind::unavailable, "{} is not gist's CUDA module", path.string());
  }
  const auto& module = *static_cast<const CudaModule*>(symbol);
  if (std::string_view(module.build) != cuda_module_build) {
    fail(ErrorKind::unavailable,
         "the CUDA module {} was built as {}, this gist as {}: install both from one build",
         path.string(), module.build, cuda_module_build);
  }
  return module;
}

}  // namespace

fs::path cuda_module_path() {
  return installation_prefix() / GIST_LIBRARY_DIRECTORY / "gist" / "gist_cuda.so";
}

CudaDevices find_cuda_devices() {
  CudaDevices result;
  try {
    result.devices = load_module().devices();
    if (result.devices.empty()) result.none = "no CUDA device";
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::unavailable) throw;
    result.none = error.what();
  }
  return result;
}

std::unique_ptr<Backend> open_cuda_backend(const CudaOptions& options) {
  const CudaModule& module = load_module();
  const std::vector<CudaDevice> devices = module.devices();
  const auto index = static_cast<std::size_t>(options.device);
  if (index >= devices.size()) {
    fail(ErrorKind::unavailable, "cuda:{}: there {} CUDA device{}; gist plugins where lists them",
         options.device, devices.size() == 1 ? "is 1" : fmt::format("are {}", devices.size()),
         devices.size() == 1 ? "" : "s");
  }
  if (!devices[index].unusable.empty()) {
    fail(ErrorKind::unavailable, "cuda:{} ({}) can't be used: {}", options.device,
         devices[index].name, devices[index].unusable);
  }
  std::unique_ptr<Backend> backend = module.open(options);
  const bool rounds = options.dtype == Dtype::bf16 || options.allow_tf32;
  const std::unique_ptr<Backend> oracle = make_cpu_backend({.threads = 1});
  if (const std::string wrong = self_check(*backend, *oracle, rounds ? 3e-2F : 1e-4F);
      !wrong.empty()) {
    fail(ErrorKind::unavailable, "cuda:{} ({}) computes wrongly: {}", options.device,
         devices[index].name, wrong);
  }
  return backend;
}

}  // namespace gist

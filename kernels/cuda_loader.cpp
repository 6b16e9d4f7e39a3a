#include "kernels/cuda_loader.h"

#include <dlfcn.h>

#include <boost/dll/shared_library.hpp>
#include <string_view>
#include <system_error>

#include "kernels/error.h"

namespace gist {
namespace {

namespace fs = std::filesystem;

/// A library that is never closed: the driver has threads and exit handlers of its own.
union Unclosed {
  boost::dll::shared_library library;
  Unclosed() : library() {}
  ~Unclosed() {}
};

/// Why the library can't be loaded, or nothing.
std::string load(Unclosed& opened, const fs::path& path, boost::dll::load_mode::type mode) {
  std::error_code error;
  opened.library.load(path, mode | boost::dll::load_mode::rtld_now, error);
  if (!error) return "";
  const char* reason = ::dlerror();
  return reason == nullptr ? error.message() : reason;
}

const CudaModule& load_module() {
  using boost::dll::load_mode::rtld_local;
  using boost::dll::load_mode::search_system_folders;
  const fs::path path = cuda_module_path();
  std::error_code error;
  if (!fs::exists(path, error)) {
    fail(ErrorKind::unavailable, "this gist has no CUDA module ({} does not exist)", path.string());
  }
  // The driver first: without one, there is no need to load all that the module needs.
  Unclosed driver;
  if (const auto reason = load(driver, "libcuda.so.1", search_system_folders); !reason.empty()) {
    fail(ErrorKind::unavailable, "there is no NVIDIA driver: {}", reason);
  }
  Unclosed opened;
  if (const auto reason = load(opened, path, rtld_local); !reason.empty()) {
    fail(ErrorKind::unavailable, "the CUDA module can't be loaded: {}", reason);
  }
  if (!opened.library.has(cuda_module_symbol)) {
    fail(ErrorKind::unavailable, "{} is not gist's CUDA module", path.string());
  }
  const auto& module = opened.library.get<const CudaModule>(cuda_module_symbol);
  if (std::string_view(module.build) != cuda_module_build) {
    fail(ErrorKind::unavailable,
         "the CUDA module {} was built as {}, this gist as {}: install both "
         "from one build",
         path.string(), module.build, cuda_module_build);
  }
  return module;
}

}  // namespace

fs::path cuda_module_path() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  return program.parent_path().parent_path() / GIST_LIBRARY_DIRECTORY / "gist" / "gist_cuda.so";
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
  return module.open(options);
}

}  // namespace gist

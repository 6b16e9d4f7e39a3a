#include "formats/helper_program.h"

#include <system_error>

#include "kernels/error.h"

namespace gist {

std::filesystem::path helper_program(const std::string& name, const std::string& purpose) {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  std::filesystem::path program =
      (self.parent_path().parent_path() / GIST_HELPER_DIRECTORY / name).lexically_normal();
  if (!std::filesystem::exists(program, error)) {
    fail(ErrorKind::unavailable, "{}: missing: {}", program.string(), purpose);
  }
  return program;
}

}  // namespace gist

#include "formats/files/helper_program.h"

#include <system_error>

#include "kernels/error.h"
#include "kernels/installation.h"

namespace gist {

std::filesystem::path helper_program(const std::string& name, const std::string& purpose) {
  std::error_code error;
  std::filesystem::path program =
      (installation_prefix() / GIST_HELPER_DIRECTORY / name).lexically_normal();
  if (!std::filesystem::exists(program, error)) {
    fail(ErrorKind::unavailable, "{}: missing: {}", program.string(), purpose);
  }
  return program;
}

}  // namespace gist

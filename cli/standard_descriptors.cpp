#include "cli/standard_descriptors.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <utility>

namespace gist {

void fill_standard_descriptors() {
  // They stand in the order of their numbers, as open gives the lowest one that is free.
  constexpr std::array modes{std::pair(STDIN_FILENO, O_WRONLY), std::pair(STDOUT_FILENO, O_RDONLY),
                             std::pair(STDERR_FILENO, O_WRONLY)};
  for (const auto& [descriptor, mode] : modes) {
    if (::fcntl(descriptor, F_GETFD) < 0 && ::open("/dev/null", mode) != descriptor) ::_exit(1);
  }
}

}  // namespace gist

#include "formats/files/file_lock.h"

#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <fstream>
#include <sstream>
#include <string>

namespace gist {

std::optional<pid_t> lock_holder(int descriptor) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) return std::nullopt;
  const std::string wanted = fmt::format("{:02x}:{:02x}:{}", ::major(status.st_dev),
                                         ::minor(status.st_dev), status.st_ino);
  // proc_locks(5): "1: FLOCK  ADVISORY  WRITE 6426 fe:00:10954559 0 EOF"
  std::ifstream locks("/proc/locks");
  for (std::string line; std::getline(locks, line);) {
    std::istringstream fields(line);
    std::string number, kind, mode, access, file;
    pid_t holder = 0;
    fields >> number >> kind >> mode >> access >> holder >> file;
    if (kind == "FLOCK" && file == wanted && holder > 0) return holder;
  }
  return std::nullopt;
}

bool try_lock(int descriptor) {
  return ::flock(descriptor, LOCK_EX | LOCK_NB) == 0;
}

}  // namespace gist

#include "tests/formats/files/failing_sync.h"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

namespace {

struct Fault {
  std::atomic<bool> set = false;
  std::atomic<int> successes = 0;
  std::atomic<int> failed = 0;
};

Fault& fault() {
  static Fault one;
  return one;
}

}  // namespace

// This function stands in place of the C library's.
extern "C" int fsync(int descriptor) {
  struct stat status {};
  if (fault().set && ::fstat(descriptor, &status) == 0 && S_ISDIR(status.st_mode)) {
    if (fault().successes-- <= 0) {
      ++fault().failed;
      errno = EIO;
      return -1;
    }
  }
  return static_cast<int>(::syscall(SYS_fsync, descriptor));
}

namespace gist::testing {

FailingDirectorySync::FailingDirectorySync(int successes) {
  fault().successes = successes;
  fault().failed = 0;
  fault().set = true;
}

FailingDirectorySync::~FailingDirectorySync() {
  fault().set = false;
}

int FailingDirectorySync::failed() const {
  return fault().failed;
}

}  // namespace gist::testing

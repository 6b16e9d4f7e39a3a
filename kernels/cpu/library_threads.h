// OpenMP's threads belong to libraries: the backend has its own.
#pragma once

#include <omp.h>

namespace gist::cpu {

/// While it lives, libraries that the calling thread calls compute on that thread alone.
class OneLibraryThread {
 public:
  OneLibraryThread() : before_(omp_get_max_threads()) {
    if (before_ != 1) omp_set_num_threads(1);
  }
  OneLibraryThread(const OneLibraryThread&) = delete;
  OneLibraryThread& operator=(const OneLibraryThread&) = delete;
  ~OneLibraryThread() {
    if (before_ != 1) omp_set_num_threads(before_);
  }

 private:
  int before_;
};

}  // namespace gist::cpu

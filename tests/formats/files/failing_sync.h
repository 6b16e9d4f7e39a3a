// An injected fault: fsync of a directory fails. failing_sync.cpp defines fsync for the whole test
// program; it does what it always does where no fault is set.
#pragma once

namespace gist::testing {

/// While it lives, fsync of directories fails with EIO, but for the first `successes` calls.
class FailingDirectorySync {
 public:
  explicit FailingDirectorySync(int successes);
  FailingDirectorySync(const FailingDirectorySync&) = delete;
  FailingDirectorySync& operator=(const FailingDirectorySync&) = delete;
  ~FailingDirectorySync();

  int failed() const;  // calls so far
};

}  // namespace gist::testing

// This file knows which code of a plugin runs now: for the last words about a plugin that takes the
// process with it, and for whoever waits for one that doesn't return.
#pragma once

#include <array>

namespace gist {

/// Marks a plugin's code as running, until the end of the scope; scopes nest. The texts must
/// outlive it.
class RunningCallback {
 public:
  /// `plugin`: "family 'llama' of /usr/lib/...". `layer` is -1 outside of layers.
  RunningCallback(const char* plugin, const char* callback, int layer = -1);
  RunningCallback(const RunningCallback&) = delete;
  RunningCallback& operator=(const RunningCallback&) = delete;
  ~RunningCallback();

  const char* plugin() const { return plugin_; }
  const char* callback() const { return callback_; }
  int layer() const { return layer_; }
  /// Whether the plugin has called an operation of the host's, which hasn't returned.
  bool in_host = false;

 private:
  const char* plugin_;
  const char* callback_;
  int layer_;
  RunningCallback* outer_;
};

/// While it lives, this thread's innermost callback waits for an operation of the host's.
class HostOperation {
 public:
  HostOperation();
  HostOperation(const HostOperation&) = delete;
  HostOperation& operator=(const HostOperation&) = delete;
  ~HostOperation();

 private:
  RunningCallback* callback_;
};

/// "family 'llama' of /usr/lib/..., layer 3", of the callback that any thread began last; empty
/// where none runs. Cut where it is too long. To be called from any thread and from signal
/// handlers.
std::array<char, 512> running_callback();

/// After this call a plugin's code that ends the process, by a signal (SEGV, FPE, ABRT, ILL, BUS),
/// by `exit` or by `quick_exit`, ends it with this status, after a line on standard error that says
/// what ran. Signals that come while no plugin's code runs go to whoever took them before, and
/// children of the process may end as they like.
void report_deaths_in_callbacks(int status);

/// `_exit` calls no handlers: for a program that has one of its own, which calls this first. Ends
/// the process like `exit` where a plugin's code runs, else returns. To be called from signal
/// handlers and from a child of vfork, too.
void report_exit_at_once();

}  // namespace gist

// The one error type. It carries what a user needs to act (what was expected, what was found,
// where, what to do) and a kind, which the command line turns into an exit code.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace gist {

enum class ErrorKind {
  usage,          // the options contradict each other or lack something
  data,           // an input file or record is not what it should be
  no_input,       // an input file is missing or can't be read
  unavailable,    // a device or a plugin can't be used
  internal,       // a bug in gist
  cannot_create,  // an output exists already, or its directory can't be written
  io,             // reading or writing failed: disk full, I/O error
  busy,           // another run holds the output
};

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

/// Throws an Error with a formatted message.
template <typename... Args>
[[noreturn]] void fail(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(kind, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace gist

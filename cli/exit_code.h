// Exit codes, after BSD's sysexits.h.
#pragma once

#include "kernels/error.h"

namespace gist {

enum ExitCode : int {
  exit_ok = 0,
  exit_rejects = 1,         // finished, but some records were rejected
  exit_usage = 64,          // the options contradict each other or lack something
  exit_data = 65,           // an input is not what it should be
  exit_no_input = 66,       // an input is missing
  exit_unavailable = 69,    // a device or plugin can't be used, or memory doesn't suffice
  exit_internal = 70,       // a bug
  exit_cannot_create = 73,  // an output exists, or can't be created
  exit_io = 74,             // reading or writing failed
  exit_busy = 75,           // another run holds the output
};

inline ExitCode exit_code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::usage:
      return exit_usage;
    case ErrorKind::data:
      return exit_data;
    case ErrorKind::no_input:
      return exit_no_input;
    case ErrorKind::unavailable:
      return exit_unavailable;
    case ErrorKind::internal:
      return exit_internal;
    case ErrorKind::cannot_create:
      return exit_cannot_create;
    case ErrorKind::io:
      return exit_io;
    case ErrorKind::busy:
      return exit_busy;
  }
  return exit_internal;
}

}  // namespace gist

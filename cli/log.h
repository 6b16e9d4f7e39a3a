// Messages to the person: lines on standard error.
#pragma once

#include <string>

#include "gist/run_events.h"

namespace gist {

/// Has spdlog write each message as a line "gist: MESSAGE" on standard error. Names of files,
/// manifests and what plugins say stand in messages: characters that would steer a terminal, or
/// make one message look like two, are escaped (formats/files/text.h, printable).
void log_to_standard_error();

/// A line of the library (RunEvents::log).
void log_line(LogLevel level, const std::string& line);

}  // namespace gist

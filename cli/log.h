// Messages to the person: lines on standard error.
#pragma once

namespace gist {

/// Has spdlog write each message as a line "gist: MESSAGE" on standard error. Names of files,
/// manifests and what plugins say stand in messages: characters that would steer a terminal, or
/// make one message look like two, are escaped (formats/files/text.h, printable).
void log_to_standard_error();

}  // namespace gist

// Some errors of files come as a signal; this file turns them into errors that gist reports.
#pragma once

namespace gist {

/// After this call a write beyond the limit of a file's size (ulimit -f) fails as other writes do,
/// in place of ending the process by SIGXFSZ; and where a mapped file is made shorter while it is
/// in use, or its disk fails (SIGBUS), the process ends with one line that names the file, and
/// exit_io.
void take_file_faults();

}  // namespace gist

// All files that a run is told to read and to write, and what may become of them.
//
// No option makes gist overwrite a file of its own run, whatever it is called, nor one that gist
// didn't make; without --force no result is overwritten at all. What is looked at again when the
// file is opened (formats/files/output_file.h, cli/output_list.h) is looked at here first, before
// any work.
#pragma once

#include "cli/options.h"

namespace gist {

/// Looks at every file that the options name. Throws Error(usage) where an output is another file
/// of the run, or "-" where that is none; Error(cannot_create) where an output's name is taken, or
/// it can't be made where it should stand.
void check_files(const CommandSpec& command, const Options& options);

}  // namespace gist

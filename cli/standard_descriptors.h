// Standard input, output and error, which a caller may have closed.
#pragma once

namespace gist {

/// Opens /dev/null for those that are closed, so that no file that is opened later gets their
/// number. Reading such an input and writing such an output fails, as it does where they are
/// closed; what is written to such a standard error is gone.
void fill_standard_descriptors();

}  // namespace gist

// A model declaration is what a plugin's `configure` filled in, checked and copied.
#pragma once

#include "core/model.h"
#include "plugins/sdk/gist/plugin.h"

namespace gist {

/// Everything of ModelSpec but family and architecture. Throws Error(unavailable) naming the field
/// or weight, what was expected and what was found: nothing that a plugin declares is believed
/// unchecked.
ModelSpec checked_declaration(const gist_model& model);

}  // namespace gist

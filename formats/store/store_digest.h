// Whether two stores answer alike, without reading their activations.
#pragma once

#include "formats/files/sha256.h"
#include "formats/store/gist_store.h"

namespace gist {

/// The hash of the header (creator aside) and of each row's id and prompt: the activations follow
/// from these, as the header names the model.
Sha256 store_digest(const GistStore& store);

}  // namespace gist

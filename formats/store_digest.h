// Whether two stores answer alike, without reading their activations.
#pragma once

#include "formats/gist_store.h"
#include "formats/sha256.h"

namespace gist {

/// Of the header (creator aside) and of each row's id and prompt: the activations follow from these,
/// as the header names the model.
Sha256 store_digest(const GistStore& store);

}  // namespace gist

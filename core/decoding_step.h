// Steps in which each row has one token: the same operations, step after step, on what has been
// uploaded before them. So a backend may replay them (Replayer).
#pragma once

#include <cstdint>
#include <vector>

#include "core/cached_row.h"
#include "core/pass.h"

namespace gist {

/// Whether each row has one token, and nothing but these tokens' keys goes into the caches.
bool only_decodes(const CachedBatch& batch);

/// Lengthens the lists of keys, which grow from step to step, by entries of no row: they keep a
/// length for many steps.
void pad_lists(Batch& batch);

/// Returns a key of all that decides a decoding step's operations, where model, options and stack
/// stay the same. `pass` is that of the step, and all that its operations read has been uploaded.
std::vector<std::uint64_t> replay_key(const Pass& pass, const Scratch& scratch);

}  // namespace gist

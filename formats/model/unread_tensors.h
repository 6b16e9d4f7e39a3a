// This file finds the tensors of a checkpoint that a model doesn't read. A tensor that changes the
// model's answers and that nothing reads is the sign of another architecture than config.json
// names.
#pragma once

#include <string>
#include <vector>

#include "core/model.h"
#include "formats/model/checkpoint.h"

namespace gist {

/// Whether the tensor of this name holds what models compute anew: rotary frequencies, position
/// ids, causal masks.
bool is_computed(const std::string& name, const StoredTensor& entry);

/// Names of tensors that a model of this kind doesn't read, in byte order, without those that are
/// computed and without copies of an embedding table or a head that it reads.
std::vector<std::string> unread_tensors(const Checkpoint& checkpoint, const ModelSpec& spec);

/// Among the unread tensors, the name of a weight that the model ties to another one, though the
/// checkpoint has other values for it; "" where there is none.
std::string stored_untied(const std::vector<std::string>& unread, const ModelSpec& spec);

/// Whether a name is matched by one of the patterns: `*`, `?` and `[...]` as in file names, `*`
/// over dots, too.
bool matches_any(const std::string& name, const std::vector<std::string>& patterns);

}  // namespace gist

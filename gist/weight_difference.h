// A model that is published as its difference to a base model, because its authors may not pass the
// base's weights on, as jayelm/llama-7b-gist-1 is (github.com/jayelm/gisting, src/weight_diff.py).
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "core/model.h"
#include "formats/model/model_files.h"
#include "formats/sequences/gisting.h"
#include "gist/loaded_model.h"

namespace gist {

/// Opens the difference to a base model. Its architecture is the base's: its authors' programs may
/// have given it a name of their own.
ModelFiles open_difference(const std::string& directory, const ModelFiles& base,
                           const ModelSetup& setup);

/// RecoveredModel says what was made of a difference.
struct RecoveredModel {
  std::size_t tensors = 0;
  std::vector<std::string> with_new_row;  // whose last row is the difference's alone
  std::vector<std::string> left_out;      // as write_model_directory returns it
};

/// Writes the directory `output`, which must not exist, with the model whose weights, in f32, are
/// those of `difference` plus those of `base`; all else is the difference's. Tables of the vocabulary
/// may have one row more than the base's, that of the gist token, for which the base counts as zero.
/// `spec` is the difference's. One tensor at a time is in memory.
///
/// Throws Error(data) where a tensor is missing, has another shape, or has a sum that isn't finite;
/// Error(cannot_create) where the output exists, and as write_model_directory does.
RecoveredModel write_recovered_model(const ModelFiles& difference, const ModelFiles& base,
                                     const ModelSpec& spec, const Gisting& gisting,
                                     const std::filesystem::path& output);

}  // namespace gist

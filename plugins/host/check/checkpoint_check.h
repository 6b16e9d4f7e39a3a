// A family on a real checkpoint, and against what transformers computes with it.
#pragma once

#include <filesystem>
#include <string>

#include "plugins/host/loader.h"

namespace gist {

/// Loads a checkpoint of an architecture that the library serves. Returns what is wrong: keys of
/// config.json that the family doesn't read, tensors that it doesn't take, weights that are missing
/// or have another shape; "" where nothing is. Throws Error where the directory can't be read, or
/// the family rejects its configuration.
std::string broken_checkpoint(const LoadedPlugin& plugin, const std::filesystem::path& directory);

/// Compares what the family's callbacks and the head give on that checkpoint, in f32 on the CPU, with
/// a golden that family_golden.py made of it (see there for the format). Each callback gets the
/// golden's hidden states, so that one that is wrong doesn't hide the others. Returns the first layer
/// whose output differs by more than 1e-5 of what it adds to its input (and 1e-6 of the hidden
/// state), by how much and where, and what to look at; "" where all agree. Throws Error(data) where
/// the golden isn't one, or belongs to another checkpoint.
std::string broken_golden(const LoadedPlugin& plugin, const std::filesystem::path& directory,
                          const std::filesystem::path& golden);

}  // namespace gist

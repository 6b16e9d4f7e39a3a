// A path that is given for a model's directory may be something that gist doesn't read: this file
// tells what it is, before anything in it is read.
#pragma once

#include <filesystem>
#include <optional>

#include <nlohmann/json.hpp>

namespace gist {

/// The GGUF file that a model's path stands for: itself, or the only one in a directory that has no
/// weights of another kind. Nothing for other paths.
std::optional<std::filesystem::path> gguf_file_of(const std::filesystem::path& path);

/// Throws Error(no_input or data) saying what the path is (one of several GGUF files, an adapter, a
/// name on a hub, ...), what gist reads instead, and what to do, unless it is a GGUF file or a
/// directory with a config.json.
void require_model_directory(const std::filesystem::path& path);

/// Throws Error(data) where the configuration says that the weights are quantised. `where` names
/// it.
void refuse_quantised(const nlohmann::json& config, const std::string& where);

/// Throws Error(no_input) for a directory without weights that gist reads: which others it has, and how
/// to convert them.
[[noreturn]] void fail_without_weights(const std::filesystem::path& directory);

}  // namespace gist

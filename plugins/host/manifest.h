// NAME.gist.json, which stands beside a plugin's library and says what it serves, so that it
// needn't be loaded to find out:
//
//     {"name": "llama", "version": "0.1.0", "library": "llama.so", "abi": [0, 1],
//      "families": ["llama"], "architectures": ["LlamaForCausalLM"], "check": {"llama": {...}}}
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace gist {

inline constexpr std::string_view manifest_suffix = ".gist.json";

struct Manifest {
  std::string name;
  std::string version;
  std::filesystem::path library;  // beside the manifest
  int abi_major = 0;
  int abi_minor = 0;
  std::vector<std::string> families;
  std::vector<std::string> architectures;
  nlohmann::json check;  // {family: a small config.json}, for `gist plugins check`
};

/// Throws Error(unavailable) saying what is wrong with it. The library may be missing, and the ABI
/// may be any.
Manifest read_manifest(const std::filesystem::path& path);

/// Why a library of this ABI can't be used by this gist; "" where it can.
std::string abi_mismatch(int major, int minor);

/// The manifests in a directory, in order of their names. Throws nothing: a directory that can't be
/// read has none.
std::vector<std::filesystem::path> manifests_in(const std::filesystem::path& directory);

/// The path of the manifest that a library is expected to have, by its name: llama.so has
/// llama.gist.json.
std::filesystem::path manifest_path_for(const std::filesystem::path& library);

}  // namespace gist

// Loading a plugin's library, and believing what it says only once it has been checked.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "plugins/sdk/gist/plugin.h"

namespace gist {

/// Bytes: no version of a struct of the interface will have one near this.
constexpr std::uint32_t largest_struct = 4096;

/// The size of a struct of the interface in version 1.0: what a plugin gives at least.
template <typename T>
constexpr std::uint32_t first_size = 0;
template <>
constexpr std::uint32_t first_size<gist_weight> = offsetof(gist_weight, stored_transposed) +
                                                  sizeof(gist_weight::stored_transposed);
template <>
constexpr std::uint32_t first_size<gist_stack> = offsetof(gist_stack, window) +
                                                 sizeof(gist_stack::window);
template <>
constexpr std::uint32_t first_size<gist_attention> = offsetof(gist_attention, windowed) +
                                                     sizeof(gist_attention::windowed);

/// A struct from a plugin that says it has `size` bytes, first_size or more: what is beyond them is
/// absent, zeros, and what this gist doesn't know isn't read.
template <typename T>
T copied_struct(const void* from, std::uint32_t size) {
  T result{};
  std::memcpy(&result, from, std::min<std::size_t>(size, sizeof(T)));
  return result;
}

/// A plugin in memory. It is never unloaded, so that pointers into it stay valid.
struct LoadedPlugin {
  std::filesystem::path library;  // canonical
  std::string name;
  std::string version;
  struct Family {
    std::string id;
    std::vector<std::string> architectures;
    const gist_family* callbacks = nullptr;
  };
  std::vector<Family> families;
};

/// Runs the library's constructors. Throws Error(unavailable) naming the library and why it was
/// refused: missing, not a library, an undefined symbol, not a plugin, another ABI, nonsense in its
/// tables.
LoadedPlugin load_plugin(const std::filesystem::path& library);

/// Throws Error(unavailable) unless the library has the families and architectures that its
/// manifest tells of.
void check_against_manifest(const LoadedPlugin& plugin, const std::vector<std::string>& families,
                            const std::vector<std::string>& architectures);

/// Reads what a plugin's symbol says. `library` is for messages.
LoadedPlugin read_plugin(const void* symbol, const std::filesystem::path& library);

/// A string from a plugin: not null, not empty, at most 1000 bytes, no control characters. Throws
/// Error(unavailable) saying what is wrong with `what`.
std::string checked_text(const char* text, std::string_view what);

}  // namespace gist

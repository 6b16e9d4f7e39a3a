// Whether the files of a directory are still what was written: its checksums.json.
//
//   {"format": "gist-checksums", "version": "1.0", "files": {
//     "model.safetensors": {"header": SHA-256, "tensors": {NAME: SHA-256, ...}},
//     "config.json": SHA-256, ...}}
//
// SHA-256 in lower-case hex: of a tensor's bytes, of a safetensors file's bytes before the first
// tensor, of other files as a whole.
#pragma once

#include <filesystem>

namespace gist {

constexpr const char* checksums_name = "checksums.json";

/// Writes the checksums of all regular files that are in the directory. Throws Error(io) where one
/// can't be read or written.
void write_checksums(const std::filesystem::path& directory);

/// Whether the directory has checksums: one that an older gist wrote has none.
bool has_checksums(const std::filesystem::path& directory);

/// Throws Error(data) where a file that is listed is missing or isn't what was written: which file,
/// and which tensor.
void verify_checksums(const std::filesystem::path& directory);

}  // namespace gist

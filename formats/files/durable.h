// A file survives a crash if it is written by these functions; they also tell how writing failed.
#pragma once

#include <filesystem>
#include <string>

namespace gist {

/// A failed write in words: "the disk is full" where that is what `error` (an errno) says.
std::string write_error_text(int error);

/// The directory in which `path` stands; "." where it names none.
std::filesystem::path directory_of(const std::filesystem::path& path);

/// Makes the names in a directory durable. Throws Error(io).
void sync_directory_of(const std::filesystem::path& path);

/// Makes the files in a directory and its subdirectories durable, with their names. Throws
/// Error(io).
void sync_tree(const std::filesystem::path& directory);

}  // namespace gist

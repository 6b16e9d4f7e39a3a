// What it takes for a file to survive a crash, and how its failing is told.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

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

/// Makes a file's bytes durable and renames it over `target`. Throws Error(io).
void sync_and_rename(const std::filesystem::path& source, const std::filesystem::path& target);

/// What stands beside `path` as PATH, `infix` and the id of a process that is gone.
std::vector<std::filesystem::path> left_beside(const std::filesystem::path& path,
                                               std::string_view infix);

/// Where a file or directory is written before it is renamed to `path`: PATH.tmp-PID. Those that
/// killed processes left beside it are removed.
std::filesystem::path temporary_for(const std::filesystem::path& path);

}  // namespace gist

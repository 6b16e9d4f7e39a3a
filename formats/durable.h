// What it takes for a file to survive a crash, and how its failing is told.
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

/// Makes a file's bytes durable and renames it over `target`. Throws Error(io).
void sync_and_rename(const std::filesystem::path& source, const std::filesystem::path& target);

/// Where a file is written before it is renamed to `path`: PATH.tmp-PID. Those that killed
/// processes left beside it are removed.
std::filesystem::path temporary_for(const std::filesystem::path& path);

}  // namespace gist

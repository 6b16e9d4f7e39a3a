// Files of unknown origin are read first in a process of their own, gist-file-check: HDF5,
// SentencePiece and Oniguruma trust what they read, and a damaged or hostile file can crash them, or
// take all memory or time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "formats/files/rows_done.h"

namespace gist {

enum class FileCheck : std::uint8_t {
  store,         // a gist store's headers and its index
  store_chunks,  // all of a gist store
  tokenizer,     // a vocabulary, and all that text can reach in it
};

/// The name by which the child knows what it checks.
const char* name_of(FileCheck check);
/// The child tells before its report how far it is, by lines that begin with this: "rows DONE ALL".
inline constexpr std::string_view rows_done_prefix = "rows ";

/// Returns where the file passes; throws what reading it in the child threw, or Error(data) where
/// the child died, or took more time or memory than a file of this size needs. A file that can't be
/// opened, or is no regular one, passes: whoever reads it says so. Throws Error(unavailable) where
/// the child's program is missing. `rows_done` hears of the rows of a store whose chunks are read,
/// some times a second.
void check_file(const std::filesystem::path& path, FileCheck check, const RowsDone& rows_done = {});

/// The same, but a file that passed is remembered in the user's cache: a store by its device,
/// inode, size and times of change, a vocabulary by `sha256`, in hex, of its bytes.
void check_new_store(const std::filesystem::path& path);
void check_new_tokenizer(const std::filesystem::path& path, const std::string& sha256);

}  // namespace gist

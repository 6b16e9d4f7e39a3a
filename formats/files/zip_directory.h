// ZIP archives whose entries are stored, not compressed, in memory.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <span>
#include <string>

#include "formats/files/mapped_file.h"

namespace gist {

using ZipDirectory = std::map<std::string, std::span<const std::byte>>;

/// The entries' bytes by their names, in the mapping. Throws Error(data) where the file is no ZIP
/// archive or is damaged, where an entry is compressed or encrypted, or two have the same name.
ZipDirectory read_zip_directory(const MappedFile& file);

}  // namespace gist

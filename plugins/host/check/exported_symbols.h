// What a shared library exports.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace gist {

/// The names that other libraries could find in an ELF file of 64 bits, in the file's order, without
/// those that linkers add; none where the file is no such library, or keeps no table of its sections.
std::vector<std::string> exported_symbols(const std::filesystem::path& library);

}  // namespace gist

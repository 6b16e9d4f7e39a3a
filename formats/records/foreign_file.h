// Files that are taken for records, and are none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace gist {

/// So many bytes suffice to tell every kind.
constexpr std::size_t foreign_file_bytes = 64;

/// Throws Error(data), "WHERE:1: what it is, and what makes records of it", where a file's first
/// bytes are those of one that can't hold records as it is: a pointer of Git LFS, text in UTF-16,
/// an archive, a table of another format, a page.
void refuse_foreign_file(std::string_view first_bytes, const std::string& where);

/// Throws Error(data), "WHERE:LINE: ...", for a line that is no JSON, and doesn't look as if it was
/// meant to be: plain text, or a table. It says what makes records of it.
void refuse_plain_text(std::string_view text, const std::string& where, std::uint64_t line);

}  // namespace gist

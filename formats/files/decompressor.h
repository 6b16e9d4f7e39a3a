// Files that gzip (RFC 1952) or zstd (RFC 8878) compressed, as the bytes they were made from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace gist {

enum class Compression : std::uint8_t { none, gzip, zstd };

/// Tells the compression by a path's end: .gz, .zst, or none of them.
Compression compression_of(std::string_view path);
/// Tells the compression by a file's first bytes.
Compression compression_in(std::string_view bytes);
/// The path without such an end: what the file is a compressed form of.
std::string_view without_compression(std::string_view path);

/// Takes a file piece by piece. Files that were put one behind the other (`cat a.gz b.gz`) count as
/// one. Memory doesn't grow with the file: a step gives at most step_bytes.
class Decompressor {
 public:
  static constexpr std::size_t step_bytes = std::size_t{1} << 17;

  /// `compression` is not none; `name` is the file's, for messages.
  Decompressor(Compression compression, std::string name);
  Decompressor(Decompressor&&) noexcept;
  ~Decompressor();

  /// Appends the next bytes to `out`, and removes those of `input` that it has taken from there: to
  /// be called as long as some are left, or has_more. Throws Error(data) for what is damaged, or no
  /// such file.
  void step(std::string_view& input, std::string& out);
  /// Whether another step may give something without more input.
  bool has_more() const;
  /// Must be called at the end of the file. Throws Error(data) where it lacks its end.
  void finish() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gist

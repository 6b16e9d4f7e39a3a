// Lines of a file, compressed or not (by its name: *.gz, *.zst), or of standard input ("-").
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace gist {

class LineReader {
 public:
  /// Throws Error(no_input) where the file can't be opened. A read that blocks ends when the
  /// descriptor `wake` (-1: none) becomes readable; it stays the caller's.
  explicit LineReader(const std::string& path, int wake = -1);
  LineReader(LineReader&&) noexcept;
  ~LineReader();

  /// The next line without its end (LF or CR LF), or nothing at the end of the input or where
  /// the reading was ended. Throws Error(io) where reading fails, Error(data) for a damaged
  /// compressed file.
  std::optional<std::string> next();
  /// The same; but of a line longer than `most_bytes` (0: any) only the first kept_beginning bytes,
  /// and `cut` says so: the rest is left out without being held in memory.
  std::optional<std::string> next(std::size_t most_bytes, bool& cut);
  /// The first byte that next() has not given and that is no white space; it stays. Nothing at the
  /// end of the input or where the reading was ended. Throws as next() does.
  std::optional<char> peek();
  /// Returns what next() would give from here on, as far as it is at hand, and at least a byte of
  /// it. It stays until `skip`. Empty at the end of the input or where the reading was ended.
  /// Throws as next() does.
  std::string_view unread();
  /// Leaves out so many bytes of `unread`.
  void skip(std::size_t bytes);
  /// Whether the input has ended, with nothing left.
  bool at_end() const;
  /// The input's name for messages: its path, or "standard input".
  const std::string& name() const;
  /// Returns how much of a regular file next() has given, from 0 to 1; nothing where that isn't
  /// known. Of a compressed file it is an estimate.
  std::optional<double> fraction() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gist

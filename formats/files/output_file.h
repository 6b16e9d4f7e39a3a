// Files that appear whole or not at all, and that take no other file's place unasked.
//
// Whatever gist writes under a name that a person gave is written into a new file of a random name
// beside it, which is made durable and then renamed. Links are never followed: a name that is a
// link is replaced itself, or refused.
#pragma once

#include <sys/types.h>

#include <compare>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace gist {

/// Existing says what happens where an output's name is taken: it is refused, unless by an empty
/// file, or it is replaced.
enum class Existing : std::uint8_t { refuse, replace };

/// Tells files apart, whatever they are called.
struct FileId {
  dev_t device = 0;
  ino_t inode = 0;
  auto operator<=>(const FileId&) const = default;
};

/// The identity of what the path leads to, through links; nothing where there is none.
std::optional<FileId> file_id(const std::filesystem::path& path);
std::optional<FileId> file_id(int descriptor);
/// Whether the path, itself no link, still names the file behind the descriptor.
bool names(const std::filesystem::path& path, int descriptor);

/// Whether something has this name, be it a link to nothing.
bool is_taken(const std::filesystem::path& path);
/// Whether the path, itself no link, is a regular file without a byte.
bool is_empty_file(const std::filesystem::path& path);
/// Whether the path leads to a pipe, terminal or other device: such a thing is written into, and
/// never replaced.
bool is_pipe_or_device(const std::filesystem::path& path);

/// Digits that no other process chooses: 16, hexadecimal.
std::string random_digits();
/// While an output is written, this and some digits stand behind its name.
constexpr const char* temporary_infix = ".tmp-";
/// Whether the text is PREFIX and such digits.
bool has_random_digits(std::string_view text, std::string_view prefix);

/// Renames, and makes the name durable. Throws Error(cannot_create) where the target's name is
/// taken and is not to be replaced, Error(io) where renaming fails.
void rename_durably(const std::filesystem::path& source, const std::filesystem::path& target,
                    Existing existing);

/// Removes the files that killed processes left beside a path: PATH.tmp- and 16 random digits,
/// where nobody holds their lock.
void remove_left_files(const std::filesystem::path& path);

/// Throws what a failed creation is: Error(io) for a full disk, else Error(cannot_create).
[[noreturn]] void fail_to_create(const std::filesystem::path& path, int error);

/// A new file beside the one that it becomes: PATH.tmp- and 16 random digits. Without `publish`
/// nothing stays. What killed processes left for the same path is removed when the next one is
/// made: it holds a lock while its process lives.
class TemporaryFile {
 public:
  /// Throws as fail_to_create does.
  explicit TemporaryFile(std::filesystem::path target);
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile();

  const std::filesystem::path& path() const { return path_; }
  const std::filesystem::path& target() const { return target_; }
  int descriptor() const { return descriptor_; }  // to read and write; open until destruction

  /// Makes the bytes durable and gives the file its name. Throws as rename_durably does.
  void publish(Existing existing);

 private:
  std::filesystem::path target_, path_;
  int descriptor_ = -1;
  bool published_ = false;
};

}  // namespace gist

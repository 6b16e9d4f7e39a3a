#include "formats/files/file_check.h"

#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>
#include <string_view>
#include <system_error>

#include "formats/files/child_process.h"
#include "formats/files/file_io.h"
#include "formats/files/helper_program.h"
#include "formats/files/sha256.h"
#include "formats/files/text.h"
#include "formats/files/user_cache.h"
#include "kernels/error.h"

namespace gist {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view passed = "passed";
/// Counted up when the check finds more: what passed before is then looked at anew.
constexpr int check_version = 1;

/// The child limits its own processor time and memory; this is for a disk that doesn't answer.
std::chrono::milliseconds time_limit(std::uint64_t bytes) {
  constexpr std::uint64_t bytes_a_second = 1'000'000;
  return std::chrono::seconds(120 + bytes / bytes_a_second);
}

std::optional<struct stat> regular_file(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  return status;
}

/// "KIND MESSAGE", as the child reports an Error.
std::optional<Error> reported_error(std::string_view text) {
  int kind = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), kind);
  const auto used = static_cast<std::size_t>(end - text.data());
  if (error != std::errc() || kind < 0 || kind > static_cast<int>(ErrorKind::busy) ||
      used == text.size() || text[used] != ' ') {
    return std::nullopt;
  }
  return Error(static_cast<ErrorKind>(kind), std::string(text.substr(used + 1)));
}

/// "rows DONE ALL", as the child says how far it is.
void tell_rows(std::string_view line, const RowsDone& rows_done) {
  line.remove_prefix(rows_done_prefix.size());
  const char* const end = line.data() + line.size();
  std::uint64_t done = 0, all = 0;
  const auto first = std::from_chars(line.data(), end, done);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != ' ') return;
  const auto second = std::from_chars(first.ptr + 1, end, all);
  if (second.ec == std::errc() && second.ptr == end && done <= all) rows_done(done, all);
}

/// Takes from what the child wrote the lines that stand before its report.
void take_rows_done(std::string& text, const RowsDone& rows_done) {
  std::size_t end = 0;
  while (text.starts_with(rows_done_prefix) && (end = text.find('\n')) != std::string::npos) {
    if (rows_done) tell_rows(std::string_view(text).substr(0, end), rows_done);
    text.erase(0, end + 1);
  }
}

/// Remembered names the entry by which it is remembered that a file passed, and as what.
struct Remembered {
  fs::path path;
  std::string content;
};

bool is_remembered(const Remembered& remembered) {
  try {
    return read_file(remembered.path) == remembered.content;
  } catch (const Error&) {
    return false;
  }
}

void remember(const Remembered& remembered) {
  try {
    std::error_code ignored;  // writing tells
    fs::create_directories(remembered.path.parent_path(), ignored);
    write_file_atomically(remembered.path, remembered.content);
  } catch (const Error&) {
    // Then it is checked again.
  }
}

std::int64_t nanoseconds(const timespec& time) {
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

/// A file that was changed this recently could be changed again without a trace in its times.
bool settled(const struct stat& status) {
  constexpr std::int64_t settling_ns = 2'000'000'000;
  const std::int64_t now = std::chrono::duration_cast<std::chrono::nanoseconds>(
                               std::chrono::system_clock::now().time_since_epoch())
                               .count();
  return std::max(nanoseconds(status.st_mtim), nanoseconds(status.st_ctim)) < now - settling_ns;
}

std::optional<Remembered> remembered_store(const fs::path& path, const struct stat& status) {
  const std::optional<fs::path> cache = user_cache_directory();
  std::error_code error;
  const fs::path whole = fs::canonical(path, error);
  if (!cache || error || !settled(status)) return std::nullopt;
  return Remembered{
      *cache / ("checked-store-" + to_hex(sha256(whole.string()))),
      fmt::format("{} {} {} {} {} {}\n", check_version, status.st_dev, status.st_ino,
                  status.st_size, nanoseconds(status.st_mtim), nanoseconds(status.st_ctim))};
}

}  // namespace

const char* name_of(FileCheck check) {
  switch (check) {
    case FileCheck::store:
      return "store";
    case FileCheck::store_chunks:
      return "store-chunks";
    case FileCheck::tokenizer:
      return "tokenizer";
  }
  return "";
}

void check_file(const fs::path& path, FileCheck check, const RowsDone& rows_done) {
  const std::optional<struct stat> status = regular_file(path);
  if (!status) return;
  const fs::path program =
      helper_program("gist-file-check",
                     "files of unknown origin are read first by this program, in a process of "
                     "its own (for a store that is trusted, --trust-store, it isn't needed)");
  const ChildReport report = run_child(program, {name_of(check), path.string()},
                                       time_limit(static_cast<std::uint64_t>(status->st_size)),
                                       [&](std::string& text) { take_rows_done(text, rows_done); });
  if (const std::optional<Error> error = reported_error(report.text)) throw Error(*error);
  if (report.text == passed && report.ended.empty()) return;
  fail(ErrorKind::data, "{}: damaged: the process that read it {}; restore the file", path.string(),
       report.ended.empty() ? "ended without a word" : report.ended);
}

void check_new_store(const fs::path& path) {
  const std::optional<struct stat> status = regular_file(path);
  if (!status) return;
  const std::optional<Remembered> remembered = remembered_store(path, *status);
  if (remembered && is_remembered(*remembered)) return;
  check_file(path, FileCheck::store);
  if (remembered) remember(*remembered);
}

void check_new_tokenizer(const fs::path& path, const std::string& sha256) {
  const std::optional<fs::path> cache = user_cache_directory();
  const Remembered remembered{cache.value_or("") / ("checked-tokenizer-" + sha256),
                              fmt::format("{}\n", check_version)};
  if (cache && is_remembered(remembered)) return;
  check_file(path, FileCheck::tokenizer);
  if (cache) remember(remembered);
}

}  // namespace gist

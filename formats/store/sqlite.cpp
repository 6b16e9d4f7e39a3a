#include "formats/store/sqlite.h"

#include <system_error>

#include "formats/files/durable.h"
#include "formats/files/text.h"
#include "kernels/error.h"

namespace gist::sqlite {

namespace {

/// An absolute path is never taken for ":memory:" or a URI, and has no link but perhaps the last
/// name, which is not followed.
std::string absolute_path(const std::filesystem::path& path) {
  std::error_code error;
  const auto directory = std::filesystem::canonical(directory_of(path), error);
  std::string absolute = (error ? std::filesystem::absolute(path) : directory / path.filename());
  constexpr std::size_t journal_ending = 8;
  const auto longest = static_cast<std::size_t>(sqlite3_vfs_find(nullptr)->mxPathname);
  if (absolute.size() + journal_ending > longest) {
    fail(ErrorKind::cannot_create,
         "{}: the whole path has {} bytes, and SQLite takes at most {}: choose a shorter one",
         path.string(), absolute.size(), longest - journal_ending);
  }
  return absolute;
}

}  // namespace

Database::Database(const std::filesystem::path& path, int flags) : name_(path.string()) {
  sqlite3* opened = nullptr;
  const int code = sqlite3_open_v2(absolute_path(path).c_str(), &opened,
                                   flags | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_NOFOLLOW, nullptr);
  database_.reset(opened);
  if (code != SQLITE_OK) fail_with(code);
}

void Database::fail_with(int code) const {
  const int system_error = sqlite3_system_errno(get());
  const char* const message = sqlite3_errmsg(get());
  switch (code & 0xff) {
    case SQLITE_FULL:
      fail(ErrorKind::io, "{}: can't be written: {}", name_, write_error_text(ENOSPC));
    case SQLITE_IOERR:
      fail(ErrorKind::io, "{}: reading or writing failed: {}", name_,
           system_error == 0 ? message : write_error_text(system_error));
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
      fail(ErrorKind::cannot_create, "{}: can't be opened for writing: {}", name_,
           system_error == 0 ? message : write_error_text(system_error));
    case SQLITE_BUSY:
      fail(ErrorKind::busy, "{}: locked by another process", name_);
    case SQLITE_ERROR:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_MISMATCH:
    case SQLITE_TOOBIG:
    case SQLITE_SCHEMA:
    case SQLITE_FORMAT:
      // SQLite quotes what it doesn't understand, over several lines.
      fail(ErrorKind::data,
           "{}: no staging file of gist, or a damaged one: {}; restore it, or start anew, "
           "which discards it (--force)",
           name_, in_quotes(message));
    case SQLITE_NOMEM:
      fail(ErrorKind::unavailable, "{}: memory doesn't suffice", name_);
    default:
      fail(ErrorKind::internal, "{}: SQLite fails with code {}: {}", name_, code, message);
  }
}

void Database::run(const char* sql) {
  const int code = sqlite3_exec(get(), sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) fail_with(code);
}

std::int64_t Database::integer(const char* sql) const {
  Statement statement(*this, sql);
  if (!statement.step()) fail(ErrorKind::data, "{}: \"{}\" gives nothing", name_, sql);
  return static_cast<std::int64_t>(statement.integer(0));
}

bool Database::moved() const {
  int moved = 0;
  sqlite3_file_control(get(), "main", SQLITE_FCNTL_HAS_MOVED, &moved);
  return moved != 0;
}

Statement::Statement(const Database& database, const char* sql) : database_(&database) {
  sqlite3_stmt* prepared = nullptr;
  const int code =
      sqlite3_prepare_v3(database.get(), sql, -1, SQLITE_PREPARE_PERSISTENT, &prepared, nullptr);
  statement_.reset(prepared);
  if (code != SQLITE_OK) database.fail_with(code);
}

void Statement::check(int code) {
  if (code == SQLITE_OK) return;
  struct Reset {
    void operator()(sqlite3_stmt* statement) const { sqlite3_reset(statement); }
  };
  const std::unique_ptr<sqlite3_stmt, Reset> reset_on_exit(statement_.get());
  database_->fail_with(code);
}

Statement& Statement::bind(int at, std::uint64_t value) {
  check(sqlite3_bind_int64(statement_.get(), at, static_cast<sqlite3_int64>(value)));
  return *this;
}

Statement& Statement::bind(int at, double value) {
  check(sqlite3_bind_double(statement_.get(), at, value));
  return *this;
}

Statement& Statement::bind_null(int at) {
  check(sqlite3_bind_null(statement_.get(), at));
  return *this;
}

Statement& Statement::bind(int at, std::string_view text) {
  const char* data = text.data() == nullptr ? "" : text.data();  // null would bind NULL
  check(sqlite3_bind_text64(statement_.get(), at, data, text.size(), SQLITE_STATIC, SQLITE_UTF8));
  return *this;
}

Statement& Statement::bind(int at, std::span<const std::byte> blob) {
  const void* data = blob.data() == nullptr ? static_cast<const void*>("") : blob.data();
  check(sqlite3_bind_blob64(statement_.get(), at, data, blob.size(), SQLITE_STATIC));
  return *this;
}

bool Statement::step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) check(code);
  return false;
}

void Statement::run() {
  step();
  reset();
}

bool Statement::is_null(int column) const {
  return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

double Statement::real(int column) const {
  return sqlite3_column_double(statement_.get(), column);
}

std::uint64_t Statement::integer(int column) const {
  return static_cast<std::uint64_t>(sqlite3_column_int64(statement_.get(), column));
}

std::string Statement::text(int column) const {
  const unsigned char* text = sqlite3_column_text(statement_.get(), column);
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column));
  return text == nullptr ? std::string() : std::string(reinterpret_cast<const char*>(text), size);
}

std::span<const std::byte> Statement::blob(int column) const {
  const void* data = sqlite3_column_blob(statement_.get(), column);
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column));
  return {static_cast<const std::byte*>(data), size};
}

Transaction::Transaction(Database& database) : database_(database) {
  database_.run("BEGIN IMMEDIATE");
}

Transaction::~Transaction() {
  // SQLite rolls back by itself after some failures. Then this statement fails, which is fine.
  if (open_) sqlite3_exec(database_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
}

void Transaction::commit() {
  database_.run("COMMIT");
  open_ = false;
}

}  // namespace gist::sqlite

// SQLite's C API under handles that close themselves, with gist's errors: Error(io) where writing
// or reading fails, Error(data) where the file is no database, damaged, or of another schema,
// Error(cannot_create) where it can't be opened for writing, Error(busy) where it is locked.
#pragma once

#include <sqlite3.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace gist::sqlite {

class Database {
 public:
  /// `flags` are those of sqlite3_open_v2.
  Database(const std::filesystem::path& path, int flags);
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  sqlite3* get() const { return database_.get(); }
  /// Runs statements that give no rows.
  void run(const char* sql);
  /// The single integer that a statement gives.
  std::int64_t integer(const char* sql) const;
  /// Whether the file at the path is no longer the one that was opened.
  bool moved() const;
  /// Closes it before its time.
  void close() { database_.reset(); }
  /// Throws what a result code means.
  [[noreturn]] void fail_with(int code) const;

 private:
  struct Close {
    void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
  };
  std::string name_;
  std::unique_ptr<sqlite3, Close> database_;
};

/// A prepared statement; its database outlives it. Bound blobs and texts are borrowed until
/// `reset`.
class Statement {
 public:
  Statement(const Database& database, const char* sql);

  Statement& bind(int at, std::uint64_t value);
  Statement& bind(int at, double value);  // no NaN: SQLite takes it for NULL
  Statement& bind_null(int at);
  Statement& bind(int at, std::string_view text);
  Statement& bind(int at, std::span<const std::byte> blob);

  /// Whether there is a row.
  bool step();
  /// Runs a statement that gives no rows, and resets it.
  void run();
  void reset() { sqlite3_reset(statement_.get()); }

  bool is_null(int column) const;
  std::uint64_t integer(int column) const;
  double real(int column) const;
  std::string text(int column) const;
  std::span<const std::byte> blob(int column) const;  // until the next step or reset

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  void check(int code);

  const Database* database_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

/// Rolled back unless committed.
class Transaction {
 public:
  explicit Transaction(Database& database);
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction();
  void commit();

 private:
  Database& database_;
  bool open_ = true;
};

}  // namespace gist::sqlite

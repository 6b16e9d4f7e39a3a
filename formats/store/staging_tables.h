// The tables of a staging file: written and read row by row, each row with its checksum.
//
//     meta      header, settings (JSON texts) and counts, which each commit renews
//     records   all records, in the order of their commits
//     rows      the rows of the store to be
//     tokens    their activations, a gist token each, so that no blob nears SQLite's limit of 1e9
//               bytes
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "formats/store/gist_store.h"
#include "formats/store/sqlite.h"
#include "formats/store/staging.h"

namespace gist {

/// StagingCounts says how many rows the tables hold.
struct StagingCounts {
  std::uint64_t records = 0;
  std::uint64_t rows = 0;
  std::uint64_t tokens = 0;
};

/// Reading throws Error(data) where a row isn't what was written: its checksum is another, or it
/// contradicts what stands before it.
class StagingTables {
 public:
  /// `flags` are those of sqlite3_open_v2.
  StagingTables(const std::filesystem::path& path, int flags);

  /// Locks the file until it is closed. Throws Error(busy) naming the process that holds it.
  void lock();
  /// Whether there are no tables yet.
  bool is_empty() const;
  void create(const StoreHeader& header, const std::string& settings);
  /// Reads what `create` wrote, and the counts. Throws Error(data) for a file that is no staging
  /// file, or one of another version.
  void open();
  /// Reads every row. Throws Error(data) at the first damage.
  void check() const;

  const std::filesystem::path& path() const { return path_; }
  const StoreHeader& header() const { return header_; }
  const std::string& settings() const { return settings_; }
  const StagingCounts& counts() const { return counts_; }

  void for_each_record(const std::function<void(const StagedRecord&)>& visit) const;
  void for_each_row(const std::function<void(const StagedRow&)>& visit) const;
  std::optional<StagedRecord> find_stored(const std::string& id) const;

  /// Calls `write`, and makes durable what it appends: all of it, or where something throws
  /// nothing.
  void commit(const std::function<void()>& write);
  void append(const StagedRecord& record);
  /// The row of the record that was appended last.
  void append(const StagedRow& row);

 private:
  void prepare();
  void check_schema() const;
  std::string meta(const char* key) const;
  void set_meta(const char* key, const std::string& value);
  StagedRecord record_from(const sqlite::Statement& statement) const;
  StagedRow row_from(const StagedRecord& record, sqlite::Statement& tokens_in_order,
                     std::uint64_t first_token) const;
  [[noreturn]] void fail_damaged(const std::string& what) const;

  std::filesystem::path path_;
  sqlite::Database database_;
  StoreHeader header_;
  std::string settings_;
  StagingCounts counts_;
  std::optional<sqlite::Statement> add_record_, add_row_, add_token_;
  mutable std::optional<sqlite::Statement> find_stored_;
};

}  // namespace gist

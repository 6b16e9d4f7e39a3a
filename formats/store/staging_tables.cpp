#include "formats/store/staging_tables.h"

#include <charconv>
#include <cmath>
#include <cstring>
#include <vector>

#include "formats/files/text.h"
#include "formats/store/gist_store_layout.h"
#include "formats/store/staging_checksum.h"
#include "formats/store/store_header_json.h"
#include "kernels/error.h"

namespace gist {
namespace {

constexpr std::int64_t application_id = 0x67697374;  // "gist"
constexpr std::int64_t schema_version = 3;
constexpr std::int64_t version_without_checksums = 2;

// The columns divergence, labels and agreements of records are those of `checked`.
constexpr const char* schema = R"(
  CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL, checksum INTEGER NOT NULL)
    WITHOUT ROWID;
  CREATE TABLE records (number INTEGER PRIMARY KEY, ordinal INTEGER NOT NULL,
                        status INTEGER NOT NULL, id TEXT NOT NULL, prompt_sha256 BLOB NOT NULL,
                        row INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL,
                        gist_tokens INTEGER NOT NULL, position INTEGER NOT NULL,
                        reason TEXT NOT NULL, divergence REAL, labels INTEGER,
                        agreements INTEGER, checksum INTEGER NOT NULL);
  CREATE UNIQUE INDEX stored_id ON records (id) WHERE status = 0;
  CREATE TABLE rows (row INTEGER PRIMARY KEY, record INTEGER NOT NULL, token_end INTEGER NOT NULL,
                     checksum INTEGER NOT NULL);
  CREATE TABLE tokens (token INTEGER PRIMARY KEY, checksum INTEGER NOT NULL, key BLOB NOT NULL,
                       value BLOB NOT NULL, hidden BLOB NOT NULL);
)";

// A rollback journal, not a write-ahead log: new pages then go to the file once, the journal keeps
// the few old pages that change, and no file is left beside it. locking_mode=EXCLUSIVE keeps the
// lock of the first transaction until the file is closed, also while idle.
constexpr const char* settings_of_connection = R"(
  PRAGMA page_size = 16384;
  PRAGMA cache_size = -32768;
  PRAGMA trusted_schema = OFF;
  PRAGMA cell_size_check = ON;
  PRAGMA locking_mode = EXCLUSIVE;
  PRAGMA journal_mode = DELETE;
  PRAGMA synchronous = FULL;
)";

constexpr const char* select_records =
    "SELECT number, ordinal, status, id, prompt_sha256, records.row, prompt_tokens, gist_tokens, "
    "position, reason, divergence, labels, agreements, records.checksum";
constexpr int record_columns = 14;

std::uint64_t checksum_of(std::string_view key, std::string_view value) {
  return StagingChecksum().add(key).add(value).value();
}

std::uint64_t checksum_of(std::uint64_t number, const StagedRecord& record) {
  StagingChecksum checksum;
  checksum.add(number)
      .add(record.ordinal)
      .add(static_cast<std::uint64_t>(record.status))
      .add(std::string_view(record.id))
      .add(std::as_bytes(std::span(record.prompt_sha256)))
      .add(record.row)
      .add(std::uint64_t{record.prompt_tokens})
      .add(std::uint64_t{record.gist_tokens})
      .add(std::uint64_t{record.position})
      .add(std::string_view(record.reason));
  if (record.checked) {
    checksum.add(record.checked->divergence)
        .add(static_cast<std::uint64_t>(record.checked->labels))
        .add(static_cast<std::uint64_t>(record.checked->agreements));
  }
  return checksum.value();
}

std::uint64_t checksum_of_row(std::uint64_t row, std::uint64_t record, std::uint64_t token_end) {
  return StagingChecksum().add(row).add(record).add(token_end).value();
}

std::uint64_t checksum_of_token(std::uint64_t token, std::span<const std::byte> key,
                                std::span<const std::byte> value,
                                std::span<const std::byte> hidden) {
  return StagingChecksum().add(token).add(key).add(value).add(hidden).value();
}

/// Token `token` of `tokens` in an array of a row.
std::span<const std::byte> token_bytes(const std::vector<std::byte>& bytes, std::size_t token,
                                       std::size_t tokens) {
  const std::size_t size = bytes.size() / tokens;
  return std::span(bytes).subspan(token * size, size);
}

void append_bytes(std::vector<std::byte>& bytes, std::span<const std::byte> more) {
  bytes.insert(bytes.end(), more.begin(), more.end());
}

std::string text_of(const StagingCounts& counts) {
  return fmt::format("{} {} {}", counts.records, counts.rows, counts.tokens);
}

/// Three numbers, each behind a space but the first; nothing where the text is another.
std::optional<StagingCounts> counts_in(const std::string& text) {
  StagingCounts counts;
  const char* at = text.data();
  const char* const end = at + text.size();
  for (std::uint64_t* count : {&counts.records, &counts.rows, &counts.tokens}) {
    if (count != &counts.records && (at == end || *at++ != ' ')) return std::nullopt;
    const auto [behind, error] = std::from_chars(at, end, *count);
    if (error != std::errc()) return std::nullopt;
    at = behind;
  }
  return at == end ? std::optional(counts) : std::nullopt;
}

/// Returns what SQLite keeps of the statements that made a file's tables and indexes.
std::vector<std::string> schema_of(const sqlite::Database& database) {
  std::vector<std::string> entries;
  sqlite::Statement all(database, "SELECT type, name, tbl_name, sql FROM sqlite_schema");
  while (all.step()) {
    entries.push_back(
        fmt::format("{} {} {} {}", all.text(0), all.text(1), all.text(2), all.text(3)));
  }
  return entries;
}

}  // namespace

StagingTables::StagingTables(const std::filesystem::path& path, int flags)
    : path_(path), database_(path, flags) {}

void StagingTables::fail_damaged(const std::string& what) const {
  fail(ErrorKind::data,
       "{}: a damaged staging file: {}; restore it, or start anew, which discards it (--force)",
       path_.string(), what);
}

void StagingTables::lock() {
  for (const char* statements : {settings_of_connection, "BEGIN EXCLUSIVE; COMMIT"}) {
    const int code = sqlite3_exec(database_.get(), statements, nullptr, nullptr, nullptr);
    if ((code & 0xff) == SQLITE_BUSY) {
      fail(ErrorKind::busy, "{}: another process has it open: wait for it to end", path_.string());
    }
    if (code != SQLITE_OK) database_.fail_with(code);
  }
  // The run that held the lock may have published and removed the file that was opened here.
  if (database_.moved()) {
    fail(ErrorKind::busy, "{}: another run has just finished it; try again", path_.string());
  }
}

bool StagingTables::is_empty() const {
  return database_.integer("SELECT count(*) FROM sqlite_schema") == 0 &&
         database_.integer("PRAGMA application_id") == 0 &&
         database_.integer("PRAGMA user_version") == 0;
}

void StagingTables::create(const StoreHeader& header, const std::string& settings) {
  header_ = header;
  settings_ = settings;
  sqlite::Transaction transaction(database_);
  database_.run(schema);
  set_meta("header", to_json(header_).dump());
  set_meta("settings", settings_);
  set_meta("counts", text_of(counts_));
  database_.run(fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {}", application_id,
                            schema_version)
                    .c_str());
  transaction.commit();
  prepare();
}

void StagingTables::open() {
  if (database_.integer("PRAGMA application_id") != application_id) {
    fail(ErrorKind::data,
         "{}: an SQLite database, but no staging file of gist; choose another path (--output), or "
         "discard it (--force)",
         path_.string());
  }
  const std::int64_t version = database_.integer("PRAGMA user_version");
  if (version == version_without_checksums) {
    fail(ErrorKind::data,
         "{}: begun by an older gist, whose staging files have no checksums: finish it with that "
         "gist (--finish), or start anew, which discards it (--force)",
         path_.string());
  }
  if (version != schema_version) {
    fail(
        ErrorKind::data,
        "{}: staging file version {}, this gist knows {}; finish it with that gist, or start anew, "
        "which discards it (--force)",
        path_.string(), version, schema_version);
  }
  check_schema();
  header_ = store_header_from_json(meta("header"), path_.string());
  settings_ = meta("settings");
  const std::string text = meta("counts");
  const std::optional<StagingCounts> counts = counts_in(text);
  if (!counts) fail_damaged(fmt::format("its counts are {}", in_quotes(text)));
  counts_ = *counts;
  prepare();
}

/// Nothing in the file may act by itself, or stand where the statements here don't look.
void StagingTables::check_schema() const {
  sqlite::Database expected(path_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MEMORY);
  expected.run(schema);
  if (schema_of(database_) != schema_of(expected)) fail_damaged("its tables are others");
}

void StagingTables::check() const {
  {
    sqlite::Statement statement(database_, "PRAGMA integrity_check(1)");
    const std::string found = statement.step() ? statement.text(0) : "nothing";
    if (found != "ok") fail_damaged(fmt::format("SQLite finds {}", in_quotes(found)));
  }
  for_each_record([](const StagedRecord&) {});
  for_each_row([](const StagedRow&) {});
}

void StagingTables::prepare() {
  add_record_.emplace(database_,
                      "INSERT INTO records (number, ordinal, status, id, prompt_sha256, row, "
                      "prompt_tokens, gist_tokens, position, reason, divergence, labels, "
                      "agreements, checksum) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
  add_row_.emplace(database_,
                   "INSERT INTO rows (row, record, token_end, checksum) VALUES (?,?,?,?)");
  add_token_.emplace(database_,
                     "INSERT INTO tokens (token, checksum, key, value, hidden) VALUES (?,?,?,?,?)");
  find_stored_.emplace(
      database_,
      fmt::format("{} FROM records WHERE id = ? AND status = 0", select_records).c_str());
}

std::string StagingTables::meta(const char* key) const {
  sqlite::Statement find(database_, "SELECT value, checksum FROM meta WHERE key = ?");
  if (!find.bind(1, std::string_view(key)).step()) fail_damaged(fmt::format("no {}", key));
  std::string value = find.text(0);
  if (find.integer(1) != checksum_of(key, value)) {
    fail_damaged(fmt::format("the checksum of its {} is wrong", key));
  }
  return value;
}

void StagingTables::set_meta(const char* key, const std::string& value) {
  sqlite::Statement set(database_,
                        "INSERT OR REPLACE INTO meta (key, value, checksum) VALUES (?,?,?)");
  set.bind(1, std::string_view(key))
      .bind(2, std::string_view(value))
      .bind(3, checksum_of(key, value))
      .run();
}

StagedRecord StagingTables::record_from(const sqlite::Statement& statement) const {
  const std::uint64_t number = statement.integer(0);
  StagedRecord record;
  record.ordinal = statement.integer(1);
  const std::uint64_t status = statement.integer(2);
  record.status = static_cast<StagedRecord::Status>(status);
  record.id = statement.text(3);
  const std::span<const std::byte> hash = statement.blob(4);
  std::memcpy(record.prompt_sha256.data(), hash.data(),
              std::min(hash.size(), record.prompt_sha256.size()));
  record.row = statement.integer(5);
  record.prompt_tokens = static_cast<std::uint32_t>(statement.integer(6));
  record.gist_tokens = static_cast<std::uint32_t>(statement.integer(7));
  record.position = static_cast<std::uint32_t>(statement.integer(8));
  record.reason = statement.text(9);
  if (!statement.is_null(10)) {
    record.checked = {statement.real(10), static_cast<std::int32_t>(statement.integer(11)),
                      static_cast<std::int32_t>(statement.integer(12))};
  }
  if (status > static_cast<std::uint64_t>(StagedRecord::Status::rejected) ||
      statement.integer(13) != checksum_of(number, record)) {
    fail_damaged(fmt::format("the checksum of record {} is wrong", number));
  }
  if (!valid_utf8(record.id)) fail_damaged(fmt::format("the id of record {} is no UTF-8", number));
  return record;
}

void StagingTables::for_each_record(const std::function<void(const StagedRecord&)>& visit) const {
  sqlite::Statement all(database_,
                        fmt::format("{} FROM records ORDER BY number", select_records).c_str());
  std::uint64_t number = 0;
  for (; all.step(); ++number) {
    const StagedRecord record = record_from(all);
    if (all.integer(0) != number) fail_damaged(fmt::format("record {} is missing", number));
    visit(record);
  }
  if (number != counts_.records) {
    fail_damaged(fmt::format("{} of {} records are there", number, counts_.records));
  }
}

void StagingTables::for_each_row(const std::function<void(const StagedRow&)>& visit) const {
  sqlite::Statement all(
      database_,
      fmt::format("{}, rows.row, record, token_end, rows.checksum FROM rows JOIN records ON number "
                  "= record ORDER BY rows.row",
                  select_records)
          .c_str());
  sqlite::Statement tokens(database_,
                           "SELECT token, checksum, key, value, hidden FROM tokens ORDER BY token");
  std::uint64_t row = 0;
  std::uint64_t token_end = 0;
  for (; all.step(); ++row) {
    const StagedRecord record = record_from(all);
    const std::uint64_t first_token = token_end;
    token_end = all.integer(record_columns + 2);
    if (all.integer(record_columns + 3) !=
        checksum_of_row(all.integer(record_columns), all.integer(record_columns + 1), token_end)) {
      fail_damaged(fmt::format("the checksum of row {} is wrong", row));
    }
    if (all.integer(record_columns) != row || record.row != row ||
        record.status != StagedRecord::Status::stored ||
        token_end != first_token + record.gist_tokens) {
      fail_damaged(fmt::format("row {} is missing, or not that of its record", row));
    }
    visit(row_from(record, tokens, first_token));
  }
  if (row != counts_.rows || token_end != counts_.tokens) {
    fail_damaged(fmt::format("{} of {} rows are there, with {} of {} tokens", row, counts_.rows,
                             token_end, counts_.tokens));
  }
}

StagedRow StagingTables::row_from(const StagedRecord& record, sqlite::Statement& tokens_in_order,
                                  std::uint64_t first_token) const {
  StagedRow staged;
  staged.row = {record.id,      record.gist_tokens,   record.position,
                record.ordinal, record.prompt_tokens, record.prompt_sha256};
  for (std::uint64_t token = first_token; token < first_token + record.gist_tokens; ++token) {
    if (!tokens_in_order.step() || tokens_in_order.integer(0) != token) {
      fail_damaged(fmt::format("activations of id {} are missing", in_quotes(record.id)));
    }
    const std::span<const std::byte> key = tokens_in_order.blob(2);
    const std::span<const std::byte> value = tokens_in_order.blob(3);
    const std::span<const std::byte> hidden = tokens_in_order.blob(4);
    if (tokens_in_order.integer(1) != checksum_of_token(token, key, value, hidden)) {
      fail_damaged(
          fmt::format("the checksum of activations of id {} is wrong", in_quotes(record.id)));
    }
    if (key.size() != key_array(header_).token_values() * size_of(header_.dtype) ||
        value.size() != value_array(header_).token_values() * size_of(header_.dtype) ||
        (!hidden.empty() &&
         hidden.size() != hidden_array(header_).token_values() * size_of(header_.dtype))) {
      fail_damaged(fmt::format("activations of id {} have another size than its header says",
                               in_quotes(record.id)));
    }
    append_bytes(staged.activations.key, key);
    append_bytes(staged.activations.value, value);
    append_bytes(staged.activations.hidden, hidden);
  }
  return staged;
}

std::optional<StagedRecord> StagingTables::find_stored(const std::string& id) const {
  sqlite::Statement& find = *find_stored_;
  std::optional<StagedRecord> found;
  if (find.bind(1, std::string_view(id)).step()) found = record_from(find);
  find.reset();
  return found;
}

void StagingTables::commit(const std::function<void()>& write) {
  const StagingCounts before = counts_;
  try {
    sqlite::Transaction transaction(database_);
    write();
    set_meta("counts", text_of(counts_));
    transaction.commit();
  } catch (...) {
    counts_ = before;
    throw;
  }
}

void StagingTables::append(const StagedRecord& record) {
  add_record_->bind(1, counts_.records)
      .bind(2, record.ordinal)
      .bind(3, static_cast<std::uint64_t>(record.status))
      .bind(4, std::string_view(record.id))
      .bind(5, std::as_bytes(std::span(record.prompt_sha256)))
      .bind(6, record.row)
      .bind(7, std::uint64_t{record.prompt_tokens})
      .bind(8, std::uint64_t{record.gist_tokens})
      .bind(9, std::uint64_t{record.position})
      .bind(10, std::string_view(record.reason));
  if (record.checked) {
    if (std::isnan(record.checked->divergence)) {
      fail(ErrorKind::internal, "{}: the divergence of record {} is no number", path_.string(),
           record.ordinal);
    }
    add_record_->bind(11, record.checked->divergence)
        .bind(12, static_cast<std::uint64_t>(record.checked->labels))
        .bind(13, static_cast<std::uint64_t>(record.checked->agreements));
  } else {
    add_record_->bind_null(11).bind_null(12).bind_null(13);
  }
  add_record_->bind(14, checksum_of(counts_.records, record)).run();
  ++counts_.records;
}

void StagingTables::append(const StagedRow& staged) {
  const std::size_t count = staged.row.gist_tokens;
  const auto& [key, value, hidden] = staged.activations;
  for (std::size_t token = 0; token < count; ++token) {
    const std::span<const std::byte> key_bytes = token_bytes(key, token, count);
    const std::span<const std::byte> value_bytes = token_bytes(value, token, count);
    const std::span<const std::byte> hidden_bytes = token_bytes(hidden, token, count);
    add_token_->bind(1, counts_.tokens)
        .bind(2, checksum_of_token(counts_.tokens, key_bytes, value_bytes, hidden_bytes))
        .bind(3, key_bytes)
        .bind(4, value_bytes)
        .bind(5, hidden_bytes)
        .run();
    ++counts_.tokens;
  }
  const std::uint64_t record = counts_.records - 1;
  add_row_->bind(1, counts_.rows)
      .bind(2, record)
      .bind(3, counts_.tokens)
      .bind(4, checksum_of_row(counts_.rows, record, counts_.tokens))
      .run();
  ++counts_.rows;
}

}  // namespace gist

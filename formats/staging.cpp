#include "formats/staging.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "formats/durable.h"
#include "formats/gist_store_layout.h"
#include "formats/lock_holder.h"
#include "formats/sqlite.h"
#include "formats/store_header_json.h"
#include "formats/text.h"
#include "kernels/error.h"

namespace gist {
namespace {

constexpr std::int64_t application_id = 0x67697374;  // "gist"
constexpr std::int64_t schema_version = 2;

// records: all records, in the order of their commits; divergence, labels and agreements are those
// of `checked`. rows: the rows of the store to be. tokens:
// their activations, a gist token each, so that no blob nears SQLite's limit of 1e9 bytes.
constexpr const char* schema = R"(
  CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE records (number INTEGER PRIMARY KEY, ordinal INTEGER NOT NULL,
                        status INTEGER NOT NULL, id TEXT NOT NULL, prompt_sha256 BLOB NOT NULL,
                        row INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL,
                        gist_tokens INTEGER NOT NULL, position INTEGER NOT NULL,
                        reason TEXT NOT NULL, divergence REAL, labels INTEGER,
                        agreements INTEGER);
  CREATE UNIQUE INDEX stored_id ON records (id) WHERE status = 0;
  CREATE TABLE rows (row INTEGER PRIMARY KEY, record INTEGER NOT NULL, token_end INTEGER NOT NULL);
  CREATE TABLE tokens (token INTEGER PRIMARY KEY, key BLOB NOT NULL, value BLOB NOT NULL,
                       hidden BLOB NOT NULL);
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

constexpr const char* record_columns =
    "SELECT ordinal, status, id, prompt_sha256, row, prompt_tokens, gist_tokens, position, reason, "
    "divergence, labels, agreements FROM records ";

StagedRecord record_from(const sqlite::Statement& statement) {
  StagedRecord record;
  record.ordinal = statement.integer(0);
  record.status = static_cast<StagedRecord::Status>(statement.integer(1));
  record.id = statement.text(2);
  const std::span<const std::byte> hash = statement.blob(3);
  std::memcpy(record.prompt_sha256.data(), hash.data(),
              std::min(hash.size(), record.prompt_sha256.size()));
  record.row = statement.integer(4);
  record.prompt_tokens = static_cast<std::uint32_t>(statement.integer(5));
  record.gist_tokens = static_cast<std::uint32_t>(statement.integer(6));
  record.position = static_cast<std::uint32_t>(statement.integer(7));
  record.reason = statement.text(8);
  if (!statement.is_null(9)) {
    record.checked = {statement.real(9), static_cast<std::int32_t>(statement.integer(10)),
                      static_cast<std::int32_t>(statement.integer(11))};
  }
  return record;
}

/// Token `token` of `tokens` in an array of a row.
std::span<const std::byte> token_bytes(const std::vector<std::byte>& bytes, std::size_t token,
                                       std::size_t tokens) {
  const std::size_t size = bytes.size() / tokens;
  return std::span(bytes).subspan(token * size, size);
}

void append(std::vector<std::byte>& bytes, std::span<const std::byte> more) {
  bytes.insert(bytes.end(), more.begin(), more.end());
}

std::string journal_of(const std::filesystem::path& path) {
  return path.string() + "-journal";
}

[[noreturn]] void fail_busy(const std::filesystem::path& path) {
  const std::optional<pid_t> holder = lock_holder(path);
  fail(ErrorKind::busy, "{}: {} works on this output; wait for it to end, or choose another output",
       path.string(), holder ? fmt::format("process {}", *holder) : "another run");
}

}  // namespace

struct Staging::Impl {
  Impl(const std::filesystem::path& staging, int flags) : path(staging), database(staging, flags) {}

  void lock();
  bool is_empty() const;
  void fill(const StoreHeader& store_header, const std::string& settings_text);
  void load();
  std::string meta(const char* key) const;
  void insert_record(std::uint64_t number, const StagedRecord& record);
  void insert_row(std::uint64_t row, std::uint64_t record, const StagedRow& staged);
  StagedRow read_row(sqlite::Statement& row, sqlite::Statement& tokens_of_row) const;
  void prepare();

  std::filesystem::path path;
  sqlite::Database database;
  StoreHeader header;
  std::string settings;
  std::uint64_t records = 0;
  std::uint64_t rows = 0;
  std::uint64_t tokens = 0;
  std::optional<sqlite::Statement> add_record, add_row, add_token;
  mutable std::optional<sqlite::Statement> find_id;
};

void Staging::Impl::lock() {
  for (const char* statements : {settings_of_connection, "BEGIN EXCLUSIVE; COMMIT"}) {
    const int code = sqlite3_exec(database.get(), statements, nullptr, nullptr, nullptr);
    if ((code & 0xff) == SQLITE_BUSY) fail_busy(path);
    if (code != SQLITE_OK) database.fail_with(code);
  }
  // The run that held the lock may have published and removed the file that was opened here.
  if (database.moved()) {
    fail(ErrorKind::busy, "{}: another run has just finished it; try again", path.string());
  }
}

bool Staging::Impl::is_empty() const {
  return database.integer("SELECT count(*) FROM sqlite_schema") == 0 &&
         database.integer("PRAGMA application_id") == 0 &&
         database.integer("PRAGMA user_version") == 0;
}

void Staging::Impl::prepare() {
  add_record.emplace(database,
                     "INSERT INTO records (number, ordinal, status, id, prompt_sha256, row, "
                     "prompt_tokens, gist_tokens, position, reason, divergence, labels, "
                     "agreements) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)");
  add_row.emplace(database, "INSERT INTO rows (row, record, token_end) VALUES (?,?,?)");
  add_token.emplace(database, "INSERT INTO tokens (token, key, value, hidden) VALUES (?,?,?,?)");
  find_id.emplace(database, (std::string(record_columns) + "WHERE id = ? AND status = 0").c_str());
}

void Staging::Impl::fill(const StoreHeader& store_header, const std::string& settings_text) {
  header = store_header;
  settings = settings_text;
  sqlite::Transaction transaction(database);
  database.run(schema);
  sqlite::Statement add(database, "INSERT INTO meta (key, value) VALUES (?,?)");
  const std::string header_text = to_json(header).dump();
  add.bind(1, std::string_view("header")).bind(2, std::string_view(header_text)).run();
  add.bind(1, std::string_view("settings")).bind(2, std::string_view(settings)).run();
  database.run(fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {}", application_id,
                           schema_version)
                   .c_str());
  transaction.commit();
  prepare();
}

std::string Staging::Impl::meta(const char* key) const {
  sqlite::Statement find(database, "SELECT value FROM meta WHERE key = ?");
  if (!find.bind(1, std::string_view(key)).step()) {
    fail(ErrorKind::data, "{}: no staging file of gist, or a damaged one (no {})", path.string(),
         key);
  }
  return find.text(0);
}

void Staging::Impl::load() {
  if (database.integer("PRAGMA application_id") != application_id) {
    fail(ErrorKind::data, "{}: an SQLite database, but no staging file of gist", path.string());
  }
  if (const auto version = database.integer("PRAGMA user_version"); version != schema_version) {
    fail(ErrorKind::data,
         "{}: staging file version {}, this gist knows {}; finish it with that gist", path.string(),
         version, schema_version);
  }
  header = store_header_from_json(meta("header"), path.string());
  settings = meta("settings");
  const auto count = [this](const char* sql) {
    return static_cast<std::uint64_t>(database.integer(sql));
  };
  records = count("SELECT count(*) FROM records");
  rows = count("SELECT count(*) FROM rows");
  tokens = count("SELECT coalesce(max(token_end), 0) FROM rows");
  const bool consistent = count("SELECT coalesce(max(number) + 1, 0) FROM records") == records &&
                          count("SELECT coalesce(max(row) + 1, 0) FROM rows") == rows &&
                          count("SELECT count(*) FROM records WHERE status = 0") == rows &&
                          count("SELECT coalesce(max(token) + 1, 0) FROM tokens") == tokens;
  if (!consistent) {
    fail(ErrorKind::data,
         "{}: a damaged staging file: its tables contradict each other; start afresh",
         path.string());
  }
  prepare();
}

void Staging::Impl::insert_record(std::uint64_t number, const StagedRecord& record) {
  const auto hash = std::as_bytes(std::span(record.prompt_sha256));
  add_record->bind(1, number)
      .bind(2, record.ordinal)
      .bind(3, static_cast<std::uint64_t>(record.status))
      .bind(4, std::string_view(record.id))
      .bind(5, hash)
      .bind(6, record.row)
      .bind(7, std::uint64_t{record.prompt_tokens})
      .bind(8, std::uint64_t{record.gist_tokens})
      .bind(9, std::uint64_t{record.position})
      .bind(10, std::string_view(record.reason));
  if (record.checked) {
    add_record->bind(11, record.checked->divergence)
        .bind(12, static_cast<std::uint64_t>(record.checked->labels))
        .bind(13, static_cast<std::uint64_t>(record.checked->agreements));
  } else {
    add_record->bind_null(11).bind_null(12).bind_null(13);
  }
  add_record->run();
}

void Staging::Impl::insert_row(std::uint64_t row, std::uint64_t record, const StagedRow& staged) {
  const std::uint64_t begin = tokens;
  const std::size_t count = staged.row.gist_tokens;
  const auto& [key, value, hidden] = staged.activations;
  for (std::size_t token = 0; token < count; ++token) {
    add_token->bind(1, begin + token)
        .bind(2, token_bytes(key, token, count))
        .bind(3, token_bytes(value, token, count))
        .bind(4, token_bytes(hidden, token, count))
        .run();
  }
  add_row->bind(1, row).bind(2, record).bind(3, begin + count).run();
  tokens = begin + count;
}

StagedRow Staging::Impl::read_row(sqlite::Statement& row, sqlite::Statement& tokens_of_row) const {
  StagedRow staged;
  staged.row.id = row.text(0);
  const std::span<const std::byte> hash = row.blob(1);
  std::memcpy(staged.row.prompt_sha256.data(), hash.data(),
              std::min(hash.size(), staged.row.prompt_sha256.size()));
  staged.row.ordinal = row.integer(2);
  staged.row.prompt_tokens = static_cast<std::uint32_t>(row.integer(3));
  staged.row.gist_tokens = static_cast<std::uint32_t>(row.integer(4));
  staged.row.position = static_cast<std::uint32_t>(row.integer(5));
  for (std::uint32_t token = 0; token < staged.row.gist_tokens; ++token) {
    if (!tokens_of_row.step()) {
      fail(ErrorKind::data, "{}: a damaged staging file: activations of row {} are missing",
           path.string(), in_quotes(staged.row.id));
    }
    append(staged.activations.key, tokens_of_row.blob(0));
    append(staged.activations.value, tokens_of_row.blob(1));
    append(staged.activations.hidden, tokens_of_row.blob(2));
  }
  return staged;
}

Staging::Staging(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Staging::Staging(Staging&&) noexcept = default;
Staging& Staging::operator=(Staging&&) noexcept = default;
Staging::~Staging() = default;

std::filesystem::path Staging::path_for(const std::filesystem::path& store) {
  return store.string() + ".partial";
}

Staging Staging::create(const std::filesystem::path& path, const StoreHeader& header,
                        const std::string& settings) {
  check_store_shape(header, path.string());
  const auto fail_exists = [&path] {
    fail(ErrorKind::cannot_create,
         "{}: exists already: an unfinished run; go on with it or remove it", path.string());
  };
  auto impl = std::make_unique<Impl>(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  try {
    impl->lock();
    // A run that was killed before its first commit leaves an empty file: that one may be filled.
    if (!impl->is_empty()) fail_exists();
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::data) fail_exists();
    throw;
  }
  impl->fill(header, settings);
  sync_directory_of(path);
  return Staging(std::move(impl));
}

std::optional<Staging> Staging::find(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return std::nullopt;
  auto impl = std::make_unique<Impl>(path, SQLITE_OPEN_READWRITE);
  impl->lock();
  if (impl->is_empty()) return std::nullopt;
  impl->load();
  return Staging(std::move(impl));
}

Staging Staging::open(const std::filesystem::path& path) {
  std::optional<Staging> found = find(path);
  if (found) return std::move(*found);
  std::error_code error;
  fail(ErrorKind::no_input, "{}: {}", path.string(),
       std::filesystem::exists(path, error)
           ? "holds nothing yet: a run that ended before its first commit"
           : "there is no unfinished run");
}

StoreHeader Staging::header() const {
  return impl_->header;
}
std::string Staging::settings() const {
  return impl_->settings;
}
std::uint64_t Staging::records() const {
  return impl_->records;
}
std::uint64_t Staging::rows() const {
  return impl_->rows;
}

void Staging::commit(const std::vector<StagedRecord>& records, const std::vector<StagedRow>& rows) {
  Impl& staging = *impl_;
  const std::uint64_t tokens_before = staging.tokens;
  std::size_t row = 0;
  try {
    sqlite::Transaction transaction(staging.database);
    for (std::size_t i = 0; i < records.size(); ++i) {
      const StagedRecord& record = records[i];
      const std::uint64_t number = staging.records + i;
      staging.insert_record(number, record);
      if (record.status != StagedRecord::Status::stored) continue;
      if (row == rows.size() || rows[row].row.id != record.id || record.row != staging.rows + row) {
        fail(ErrorKind::internal, "{}: record {} (id {}, row {}) is not the batch's next row",
             staging.path.string(), record.ordinal, in_quotes(record.id), record.row);
      }
      staging.insert_row(record.row, number, rows[row]);
      ++row;
    }
    if (row != rows.size()) {
      fail(ErrorKind::internal, "{}: {} rows for {} stored records", staging.path.string(),
           rows.size(), row);
    }
    transaction.commit();
  } catch (...) {
    staging.tokens = tokens_before;
    throw;
  }
  staging.records += records.size();
  staging.rows += rows.size();
}

void Staging::for_each_record(const std::function<void(const StagedRecord&)>& visit) const {
  sqlite::Statement all(impl_->database, (std::string(record_columns) + "ORDER BY number").c_str());
  while (all.step()) visit(record_from(all));
}

std::optional<StagedRecord> Staging::find_id(const std::string& id) const {
  sqlite::Statement& find = *impl_->find_id;
  std::optional<StagedRecord> found;
  if (find.bind(1, std::string_view(id)).step()) found = record_from(find);
  find.reset();
  return found;
}

void Staging::for_each_row(const std::function<void(const StagedRow&)>& visit) const {
  sqlite::Statement all(impl_->database,
                        "SELECT id, prompt_sha256, ordinal, prompt_tokens, gist_tokens, position "
                        "FROM rows JOIN records ON number = record ORDER BY rows.row");
  sqlite::Statement tokens(impl_->database, "SELECT key, value, hidden FROM tokens ORDER BY token");
  while (all.step()) visit(impl_->read_row(all, tokens));
}

void Staging::publish(const std::filesystem::path& store) {
  GistStoreWriter writer(store, impl_->header);
  for_each_row(
      [&writer](const StagedRow& staged) { writer.append(staged.row, staged.activations); });
  writer.publish();
  discard();
}

void Staging::discard() {
  Impl& staging = *impl_;
  // Removed while the lock is held, so that no other run can open what is about to go. Killed here,
  // the journal may stay: SQLite removes it when a new file of that name is made.
  if (::unlink(staging.path.c_str()) != 0 && errno != ENOENT) {
    fail(ErrorKind::io, "{}: can't be removed: {}", staging.path.string(), write_error_text(errno));
  }
  ::unlink(journal_of(staging.path).c_str());
  const std::filesystem::path path = staging.path;
  impl_.reset();
  sync_directory_of(path);
}

}  // namespace gist

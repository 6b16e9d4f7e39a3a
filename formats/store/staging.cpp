#include "formats/store/staging.h"

#include <unistd.h>

#include <cerrno>
#include <utility>

#include "formats/files/durable.h"
#include "formats/files/output_file.h"
#include "formats/files/text.h"
#include "formats/store/gist_store_layout.h"
#include "formats/store/staging_tables.h"
#include "kernels/error.h"

namespace gist {
namespace {

std::string journal_of(const std::filesystem::path& path) {
  return path.string() + "-journal";
}

/// Killed here, the journal may stay: SQLite removes it when a new file of that name is made.
void remove_staging_file(const std::filesystem::path& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    fail(ErrorKind::io, "{}: can't be removed: {}", path.string(), write_error_text(errno));
  }
  ::unlink(journal_of(path).c_str());
}

}  // namespace

struct Staging::Impl {
  Impl(const std::filesystem::path& path, int flags) : tables(path, flags) {}
  StagingTables tables;
};

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
    impl->tables.lock();
    // A run that was killed before its first commit leaves an empty file: that one may be filled.
    if (!impl->tables.is_empty()) fail_exists();
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::data) fail_exists();
    throw;
  }
  impl->tables.create(header, settings);
  sync_directory_of(path);
  return Staging(std::move(impl));
}

std::optional<Staging> Staging::find(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return std::nullopt;
  auto impl = std::make_unique<Impl>(path, SQLITE_OPEN_READWRITE);
  impl->tables.lock();
  if (impl->tables.is_empty()) return std::nullopt;
  impl->tables.open();
  impl->tables.check();
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

void Staging::discard_any(const std::filesystem::path& path) {
  if (!is_taken(path)) return;
  std::optional<StagingTables> tables;  // which hold the lock, where the file has one
  try {
    tables.emplace(path, SQLITE_OPEN_READWRITE);
    tables->lock();
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::busy)
      throw;  // of all else removing it tells, or it is no matter
  }
  remove_staging_file(path);
  tables.reset();
  sync_directory_of(path);
}

StoreHeader Staging::header() const {
  return impl_->tables.header();
}
std::string Staging::settings() const {
  return impl_->tables.settings();
}
std::uint64_t Staging::records() const {
  return impl_ ? impl_->tables.counts().records : 0;
}
std::uint64_t Staging::rows() const {
  return impl_ ? impl_->tables.counts().rows : 0;
}

void Staging::commit(const std::vector<StagedRecord>& records, const std::vector<StagedRow>& rows) {
  StagingTables& tables = impl_->tables;
  tables.commit([&] {
    std::size_t row = 0;
    for (const StagedRecord& record : records) {
      tables.append(record);
      if (record.status != StagedRecord::Status::stored) continue;
      if (row == rows.size() || rows[row].row.id != record.id ||
          record.row != tables.counts().rows) {
        fail(ErrorKind::internal, "{}: record {} (id {}, row {}) is not the batch's next row",
             tables.path().string(), record.ordinal, in_quotes(record.id), record.row);
      }
      tables.append(rows[row]);
      ++row;
    }
    if (row != rows.size()) {
      fail(ErrorKind::internal, "{}: {} rows for {} stored records", tables.path().string(),
           rows.size(), row);
    }
  });
}

void Staging::for_each_record(const std::function<void(const StagedRecord&)>& visit) const {
  impl_->tables.for_each_record(visit);
}

std::optional<StagedRecord> Staging::find_id(const std::string& id) const {
  return impl_->tables.find_stored(id);
}

void Staging::for_each_row(const std::function<void(const StagedRow&)>& visit) const {
  impl_->tables.for_each_row(visit);
}

void Staging::publish(const std::filesystem::path& store, Existing existing) {
  GistStoreWriter writer(store, impl_->tables.header());
  for_each_row(
      [&writer](const StagedRow& staged) { writer.append(staged.row, staged.activations); });
  writer.publish(existing);
  discard();
}

void Staging::discard() {
  if (!impl_) return;
  const std::filesystem::path path = impl_->tables.path();
  // Removed while the lock is held, so that no other run can open what is about to go.
  remove_staging_file(path);
  impl_.reset();  // nothing is staged from here on, even where the next step fails
  sync_directory_of(path);
}

}  // namespace gist

// OUT.partial: where compress keeps durable what it has done, until the store is published. An
// SQLite database (synchronous=FULL), locked for the whole run; a batch is one transaction, and
// each row carries a checksum (formats/store/staging_tables.h).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/fidelity.h"
#include "formats/store/gist_store.h"

namespace gist {

/// StagedRecord is what became of one input record.
struct StagedRecord {
  enum class Status : std::uint8_t { stored, duplicate, known, rejected };
  std::uint64_t ordinal = 0;
  Status status = Status::stored;
  std::string id;
  Sha256 prompt_sha256{};
  std::uint64_t row = 0;  // of stored and duplicate: the row in the store to be
  std::uint32_t prompt_tokens = 0;
  std::uint32_t gist_tokens = 0;
  std::uint32_t position = 0;
  std::string reason;                    // of rejected
  std::optional<Fidelity> checked = {};  // how well its gist answers, where it was checked
};

struct StagedRow {
  StoreRow row;
  GistStore::RawActivations activations;
};

class Staging {
 public:
  /// Path of the partial of a store.
  static std::filesystem::path path_for(const std::filesystem::path& store);

  /// Creates the file and locks it. Throws Error(cannot_create) where it exists or the directory
  /// can't be written, Error(busy) where another process has it open (a run
  /// holds its output's lock besides: see OutputLock).
  /// `settings` is what a resumed run must agree with, as JSON text of an object.
  static Staging create(const std::filesystem::path& path, const StoreHeader& header,
                        const std::string& settings);
  /// Opens and locks what an unfinished run left. Returns nothing where there is no file, or the
  /// run was killed before its first commit. Throws as open does.
  static std::optional<Staging> find(const std::filesystem::path& path);
  /// Opens an existing file, locks it and reads it whole, since a checksum that is wrong should be
  /// known before the run goes on. Throws Error(busy), Error(no_input), or Error(data) where it is
  /// no partial, or a damaged one.
  static Staging open(const std::filesystem::path& path);
  /// Removes what stands under this name, in whatever state it is: damaged, or another version's.
  /// Throws Error(busy) where another process has it open, Error(io) where it can't be removed.
  static void discard_any(const std::filesystem::path& path);
  Staging(Staging&&) noexcept;
  Staging& operator=(Staging&&) noexcept;
  ~Staging();

  StoreHeader header() const;
  std::string settings() const;

  /// Makes a batch durable: its records, and the activations of those with status stored, in the
  /// same order. Throws Error(io) where that fails (disk full); then nothing of the batch is kept.
  void commit(const std::vector<StagedRecord>& records, const std::vector<StagedRow>& rows);

  std::uint64_t records() const;  // staged so far; 0 once it was published or discarded
  std::uint64_t rows() const;
  /// Every staged record in the order in which they were committed.
  void for_each_record(const std::function<void(const StagedRecord&)>& visit) const;
  std::optional<StagedRecord> find_id(
      const std::string& id) const;  // the stored record with this id
  void for_each_row(const std::function<void(const StagedRow&)>& visit) const;

  /// Writes the store from the rows (see GistStoreWriter), each compared with its checksum, then
  /// removes the partial.
  void publish(const std::filesystem::path& store, Existing existing = Existing::refuse);
  /// Removes the partial without publishing. Does nothing the second time.
  void discard();

 private:
  struct Impl;
  explicit Staging(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace gist

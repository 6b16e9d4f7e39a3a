// The gist store, version 1.0: one HDF5 file that holds the activations of compressed prompts.
//
//     /                 attributes: StoreHeader
//     /index/id, id_end, by_id, gist_end, position, ordinal, prompt_tokens, prompt_sha256
//     /gist/key, value  [S, n_layers, n_kv_heads, key_dim | value_dim]
//     /gist/hidden      [S, d_model]
//
// S counts the gist tokens of all rows. Rows are written once and never edited.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/gist_activations.h"
#include "formats/files/output_file.h"
#include "formats/files/rows_done.h"
#include "formats/files/sha256.h"
#include "kernels/tensor.h"

namespace gist {

/// The root attributes, under their names in the file.
struct StoreHeader {
  std::string creator;
  std::string family;
  std::string architecture;
  std::int64_t n_layers = 0;
  std::int64_t n_kv_heads = 0;
  std::int64_t key_dim = 0;
  std::int64_t value_dim = 0;
  std::int64_t d_model = 0;
  Dtype dtype = Dtype::f32;
  // "pre-rope": before rotation; "none": keys carry no position; "absolute": they stand where they
  // were made.
  std::string key_position = "pre-rope";
  std::string gist_token;          // "<GIST>"; of a model with distinct ones "<GIST>..<GIST3>"
  std::int64_t gist_token_id = 0;  // of the first
  std::int64_t gist_tokens = 0;    // k, of a merged store the most; rows of full prompts have more
  std::string prompt_template;     // attribute "template": the JSON text
  std::string condition;
  std::string model_sha256;
  std::string tokenizer_sha256;
  std::string adapter_sha256 = {};  // of the adapter that made the gists; "": none, no attribute
};

/// The first difference of what must be equal for two stores' rows to stand in one file, or for a
/// store to be read with a model: "n_layers: 4 here, 5 there". "" where they agree. `creator` never
/// matters; dtype only with `with_dtype`.
std::string header_difference(const StoreHeader& a, const StoreHeader& b, bool with_dtype);

/// One row of /index.
struct StoreRow {
  std::string id;
  std::uint32_t gist_tokens = 0;  // tokens that the row owns
  std::uint32_t position = 0;     // of its first token in its prompt
  std::uint64_t ordinal = 0;
  std::uint32_t prompt_tokens = 0;
  Sha256 prompt_sha256{};
};

/// StoreReading says how a store is read.
struct StoreReading {
  /// Unless it is set, a process of its own reads headers and index first
  /// (formats/files/file_check.h), once for each file: HDF5 can't be trusted with a damaged one.
  bool trusted = false;
  /// The bytes of decompressed chunks of activations that are kept in memory; at least one chunk of
  /// each array is.
  std::uint64_t cache_bytes = std::uint64_t{64} << 20;
};

/// A finished store, open for reading. One thread at a time.
class GistStore {
 public:
  /// Reads header and index, and checks them against each other. Throws Error(no_input) or
  /// Error(data) with one line that says which: not HDF5, truncated, foreign, unknown layout, newer
  /// major version, an attribute or dataset that is missing or has another type or shape, index out
  /// of order, or a file that ends the process which reads it first.
  explicit GistStore(const std::filesystem::path& path, const StoreReading& reading = {});
  GistStore(GistStore&&) noexcept;
  GistStore& operator=(GistStore&&) noexcept;
  ~GistStore();

  const std::filesystem::path& path() const;
  const StoreHeader& header() const;
  std::uint64_t rows() const;
  std::uint64_t total_gist_tokens() const;
  StoreRow row(std::uint64_t index) const;
  /// A row's id, valid as long as the store.
  std::string_view id(std::uint64_t index) const;
  /// Whether the rows carry `hidden`; without it their `hidden` is empty.
  bool has_hidden() const;
  std::optional<std::uint64_t> find(std::string_view id) const;
  /// The first row with this prompt hash.
  std::optional<std::uint64_t> find_prompt(const Sha256& prompt_sha256) const;

  /// A row's activations, as f32. Throws Error(data) naming the dataset where a chunk is corrupt,
  /// Error(io) where the disk fails.
  GistActivations activations(std::uint64_t index) const;
  /// The same in the file's dtype, as bytes, without conversion.
  struct RawActivations {
    std::vector<std::byte> key, value, hidden;
  };
  RawActivations raw_activations(std::uint64_t index) const;

  /// Reads every chunk of every dataset: checksums, finite values, by_id sorted and complete.
  /// Throws Error(data) at the first fault, naming dataset and row. A row is done when it is sound
  /// in all datasets.
  void verify(const RowsDone& rows_done = {}) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Writes a store in one go: rows are appended in file order, then `publish` closes, syncs and
/// renames a temporary file (formats/files/output_file.h) to the path. Without it nothing stays.
/// Throws Error(io) where the disk is full or writing fails, Error(cannot_create) where the
/// directory can't be written.
class GistStoreWriter {
 public:
  GistStoreWriter(const std::filesystem::path& path, const StoreHeader& header);
  GistStoreWriter(GistStoreWriter&&) noexcept;
  ~GistStoreWriter();

  /// Activations are bytes in the header's dtype, [row.gist_tokens, ...]. `hidden` is empty in all
  /// rows or in none. Ids are distinct: `publish` throws Error(data) naming one that is not.
  void append(const StoreRow& row, const GistStore::RawActivations& activations);
  /// Gives the store its name. Where the path is taken and not to be replaced, it throws
  /// Error(cannot_create), unless it is this very store: its last run was killed when all was done.
  void publish(Existing existing = Existing::refuse);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// A row's activations in the store's dtype. Throws Error(data) where a value overflows it or is
/// not finite: what, and the value.
GistStore::RawActivations to_raw(const GistActivations& activations, Dtype dtype);
/// Returns what a reader of the store gets of raw activations: a row's `tokens` gist tokens, as
/// f32.
GistActivations from_raw(const GistStore::RawActivations& raw, std::int32_t tokens, Dtype dtype);

}  // namespace gist

// One run of compress on one output: batches through the model into the staging file. Most programs
// want what stands above it, gist/compress_store.h.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "formats/sequences/window.h"
#include "formats/store/gist_store.h"
#include "formats/store/staging.h"
#include "gist/compress_events.h"
#include "gist/compressor.h"
#include "gist/prompt_reader.h"

namespace gist {

/// The receipt of a record that was not rejected, as a line of JSON without its end.
std::string receipt(const StagedRecord& record);

/// Records by what became of them.
struct CompressTally {
  std::uint64_t stored = 0;
  std::uint64_t duplicate = 0;
  std::uint64_t known = 0;
  std::uint64_t rejected = 0;

  std::uint64_t& of(StagedRecord::Status status);
  std::uint64_t records() const { return stored + duplicate + known + rejected; }
};

class CompressSession {
 public:
  /// All but `limits`, which bound a batch, must outlive the session.
  CompressSession(Compressor& compressor, PromptReader& prompts, Staging& staging,
                  const BatchLimits& limits, const CompressEvents& events);

  /// Returns what has become of the records.
  const CompressTally& tally() const { return tally_; }

  /// Goes through the whole input: what is staged already is checked against it and told again, the
  /// rest is compressed. False: the caller stopped it early; whole batches are staged. Throws
  /// Error(data) where the input isn't the one that is staged, Error(usage) where another max_kl
  /// would have decided otherwise, and as reading, compressing and Staging::commit do.
  bool run();

 private:
  void check_staged(const Prompt& prompt, const StagedRecord& staged);
  void check_limit(const StagedRecord& staged) const;
  void flush();

  /// Settled counts what has become of a batch's prompts so far.
  struct Settled {
    std::vector<StagedRecord> records;
    std::vector<StagedRow> rows;
    std::unordered_map<std::string, std::size_t> stored;  // id -> its place in records
  };
  void settle_stored(const Prompt& prompt, CompressedPrompt& compressed, Settled& settled);
  void settle_duplicate(const Prompt& prompt, Settled& settled);
  void settle_rejected(const Prompt& prompt, std::string_view reason, Settled& settled,
                       const std::optional<Fidelity>& checked = std::nullopt);

  void tell(const StagedRecord& record);

  Compressor& compressor_;
  PromptReader& prompts_;
  Staging& staging_;
  BatchLimits limits_;
  const CompressEvents& events_;
  CompressTally tally_;
  std::uint64_t records_ = 0;  // read
  WindowWatch window_;
  std::vector<Prompt> batch_;
  std::optional<double> batch_fraction_;  // of the input: up to the batch's end
  std::int32_t batch_tokens_ = 0;
};

/// Why a prompt was rejected when it had been compressed; nothing where it was not.
using LateRejection = std::function<std::optional<std::string>(const Prompt& prompt)>;

/// Serves a run that resumes where the store is finished: checks the input against the store and
/// tells its records, without those that were rejected. `rejection` is asked about prompts that the
/// store lacks. False: the caller stopped it early. Throws Error(data) where the store is of
/// another input.
bool tell_finished_store(const GistStore& store, PromptReader& prompts,
                         const LateRejection& rejection, const CompressEvents& events);

}  // namespace gist

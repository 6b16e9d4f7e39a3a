// One run of compress on one output: batches through the model into the staging file, receipts, and
// the store at the end.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cli/check_report.h"
#include "cli/compressor.h"
#include "cli/line_writer.h"
#include "cli/progress.h"
#include "cli/prompt_reader.h"
#include "cli/signals.h"
#include "formats/store/gist_store.h"
#include "formats/store/staging.h"

namespace gist {

/// The receipt of a record that was not rejected, as JSON.
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
/// "490 prompts stored, 10 duplicates"; what there is none of is not named, but for the first.
std::string in_words(const CompressTally& tally);

class CompressSession {
 public:
  /// All must outlive the session. `limits` bound a batch.
  CompressSession(Compressor& compressor, PromptReader& prompts, Rejects& rejects, Staging& staging,
                  CheckReport& report, const BatchLimits& limits, const RecordReader& input,
                  const Signals& signals);

  /// What has become of the records.
  const CompressTally& tally() const { return tally_; }

  /// Goes through the whole input: what is staged already is checked against it and receipted
  /// again, the rest is compressed. False: a signal ended it early; whole batches are staged.
  bool run();

 private:
  void check_staged(const Prompt& prompt, const StagedRecord& staged);
  void check_limit(const StagedRecord& staged) const;
  void flush();

  /// What has become of a batch's prompts so far.
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
  Rejects& rejects_;
  Staging& staging_;
  CheckReport& report_;
  BatchLimits limits_;
  const RecordReader& input_;
  const Signals& signals_;
  bool receipts_on_terminal_;
  LineWriter receipts_ = standard_output();
  Progress progress_{"record"};
  CompressTally tally_;
  std::uint64_t records_ = 0;  // read
  std::vector<Prompt> batch_;
  std::optional<double> batch_fraction_;  // of the input: up to the batch's end
  std::int32_t batch_tokens_ = 0;
};

/// Why a prompt was rejected when it had been compressed; nothing where it was not.
using LateRejection = std::function<std::optional<std::string>(const Prompt& prompt)>;

/// For --resume where the store is finished: checks the input against it and prints its receipts.
/// `rejection` is asked about prompts that the store lacks. A signal ends the process.
void receipt_finished_store(const GistStore& store, PromptReader& prompts, Rejects& rejects,
                            const LateRejection& rejection, const std::string& input,
                            const Signals& signals);

}  // namespace gist

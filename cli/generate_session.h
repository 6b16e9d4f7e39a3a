// One run of generate: records in, completions out in the order of the input.
#pragma once

#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/completion_file.h"
#include "cli/progress.h"
#include "cli/rejects.h"
#include "cli/signals.h"
#include "formats/records/record_source.h"
#include "formats/sequences/context.h"
#include "formats/sequences/window.h"
#include "gist/text_generation.h"

namespace gist {

/// CompletionOutput names the files that completions go to.
struct CompletionOutput {
  LineWriter* out = nullptr;       // null where `file` is finished
  CompletionFile* file = nullptr;  // --output; null for standard output
  bool streams = false;            // text as it comes, for a terminal, in place of JSONL
};

class GenerateSession {
 public:
  /// All must outlive the session.
  GenerateSession(RecordSource records, Rejects& rejects, ContextReader& contexts,
                  const Tokenizer& tokenizer, const CompletionOutput& output,
                  const std::vector<std::string>& stops, const Signals& signals);

  /// Completes every record. A record that can't be used, and isn't skipped, ends the run with its
  /// Error when those before it are written. Ends early where a signal came or the output was
  /// closed: rows that run then are dropped, what is finished has been written.
  void run(const Model& model, const GenerationOptions& options);
  /// Returns how many records this run has answered.
  std::uint64_t answered() const { return delivered_; }
  /// Checks that the lines of a finished file are those that this input gives. Throws Error(data)
  /// otherwise.
  void check_finished();

 private:
  struct Pending {
    Record record;
    std::optional<double> fraction;      // of the input, up to its end
    std::optional<TextRequest> request;  // until it is asked
    bool finished = false;
    TextCompletion completion;
  };

  std::optional<Pending> next_or_failure();
  std::optional<Pending> next_pending();
  void look_at_window(const Context& context, std::uint64_t line);
  bool written_before(const Record& record);
  void no_line_left();
  void finish(std::uint64_t request, TextCompletion completion);
  void deliver();
  std::string answer(const Pending& pending) const;
  void show(std::string_view text);
  Pending& pending_of(std::uint64_t request);

  RecordSource records_;
  Rejects& rejects_;
  ContextReader& contexts_;
  const Tokenizer& tokenizer_;
  CompletionOutput output_;
  std::vector<std::string> stops_;
  std::optional<WindowWatch> window_;  // of the model that answers
  std::int32_t longest_answer_ = 0;    // tokens
  const Signals& signals_;
  std::optional<Progress> progress_;
  std::exception_ptr failure_;
  std::optional<std::string> written_;  // the line of an earlier run that comes next
  std::deque<Pending> pending_;         // not written yet, in the order of the input
  std::uint64_t delivered_ = 0;         // the number of pending_'s first
  std::uint64_t written_before_ = 0;    // records that an earlier run answered
  std::size_t shown_ = 0;               // bytes of its text that stand on the terminal
};

}  // namespace gist

// Prompts to what a store keeps of them: the step that a run, its plan and the check of a finished
// store share.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/prompt_check.h"
#include "cli/prompt_reader.h"
#include "core/forward.h"
#include "formats/gist_store.h"

namespace gist {

struct CompressedPrompt {
  GistStore::RawActivations activations;
  std::optional<Fidelity> checked;  // of a prompt with a question
  std::string objection;            // why it can't be stored; "" where nothing speaks against it
};

class Compressor {
 public:
  /// `checker` may be null: then questions stay unasked. All must outlive the compressor.
  Compressor(const Model& model, const CompressionTask& task, Dtype store_dtype,
             PromptChecker* checker)
      : model_(model),
        task_(task),
        store_dtype_(store_dtype),
        checker_(checker),
        scratch_(model.backend()) {}

  /// The batch's prompts that are to be stored, in their order, in one pass; then their questions.
  /// These are answered from what a reader of the store will get, in the store's dtype.
  std::vector<CompressedPrompt> compress(const std::vector<Prompt>& batch);
  const PromptChecker* checker() const { return checker_; }

 private:
  void check(const std::vector<Prompt>& batch, std::vector<CompressedPrompt>& results);

  const Model& model_;
  const CompressionTask& task_;
  Dtype store_dtype_;
  PromptChecker* checker_;
  Scratch scratch_;
};

}  // namespace gist

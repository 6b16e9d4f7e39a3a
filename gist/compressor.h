// Prompts to what a store keeps of them: the step that a run, its plan and the check of a finished
// store share.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/forward.h"
#include "formats/store/gist_store.h"
#include "gist/loaded_model.h"
#include "gist/prompt_check.h"
#include "gist/prompt_reader.h"

namespace gist {

struct CompressedPrompt {
  GistStore::RawActivations activations;
  std::optional<Fidelity> checked;  // of a prompt with a question
  std::string objection;            // why it can't be stored; "" where nothing speaks against it
};

class Compressor {
 public:
  /// `checker` may be null: then questions stay unasked. All must outlive the compressor, which is
  /// used by one thread at a time.
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
  /// Why a prompt can't be stored; nothing where it can, or is none that would be.
  std::optional<std::string> objection_to(const Prompt& prompt);
  const PromptChecker* checker() const { return checker_; }
  const ModelSpec& spec() const { return model_.spec(); }

 private:
  void check(const std::vector<Prompt>& batch, std::vector<CompressedPrompt>& results);

  const Model& model_;
  const CompressionTask& task_;
  Dtype store_dtype_;
  PromptChecker* checker_;
  Scratch scratch_;
};

/// A compressor with the models that it runs. It is used by one thread at a time.
class LoadedCompressor {
 public:
  /// Loads the model onto the backend that `open_backend` opens for `setup`, and, where the check
  /// has a model of its own, that one onto another. `check` may be null. It, `files` and `task`
  /// must outlive this.
  LoadedCompressor(const ModelFiles& files, std::unique_ptr<Family> family,
                   const CompressionTask& task, WholePromptModel* check, Dtype store_dtype,
                   const BatchLimits& limits, const ModelSetup& setup,
                   const BackendOpener& open_backend);
  LoadedCompressor(const LoadedCompressor&) = delete;  // its parts point to each other
  LoadedCompressor& operator=(const LoadedCompressor&) = delete;

  Compressor& operator*() { return *compressor_; }
  Compressor* operator->() { return &*compressor_; }
  const LoadedModel& loaded() const { return loaded_; }

 private:
  LoadedModel loaded_;
  std::optional<LoadedModel> reference_;
  std::optional<PromptChecker> checker_;
  std::optional<Compressor> compressor_;
};

}  // namespace gist

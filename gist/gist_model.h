// A model that compresses prompts and answers from gists: what a program that serves gists needs,
// in one object.
//
//     #include <cstdio>
//     #include <utility>
//     #include <gist/gist_model.h>
//
//     ModelSetup setup;
//     setup.device = "cpu";
//     GistModel model("my-gist-model", setup);
//     const std::vector<PromptGist> gists = model.compress({{"Count the words."}});
//     TextEvents events;
//     events.next = [&, asked = false]() mutable -> std::optional<TextRequest> {
//       if (std::exchange(asked, true)) return std::nullopt;
//       return model.behind(gists[0], "cat, lake, red");
//     };
//     events.done = [](std::uint64_t, TextCompletion answer) { std::puts(answer.text.c_str()); };
//     model.answer(model.generation_options(), {}, events);
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/generate.h"
#include "formats/model/named_templates.h"
#include "formats/sequences/context.h"
#include "formats/store/gist_store.h"
#include "gist/compress_store.h"
#include "gist/loaded_model.h"
#include "gist/text_generation.h"

namespace gist {

/// GistOrigin says what made a gist: only that model can read it.
struct GistOrigin {
  std::string name;  // of the store or of the model, for messages
  StoreHeader header;
  PromptTemplate prompt_template = decoder_template();
};

/// A compressed prompt, in memory.
struct PromptGist {
  std::shared_ptr<const GistActivations> activations;
  std::int32_t position = 0;  // of its first token, in its prompt
  std::shared_ptr<const GistOrigin> origin;
};

/// A store whose gists are read one by one. One thread at a time.
class GistSource {
 public:
  /// Throws as GistStore does.
  explicit GistSource(const std::filesystem::path& path, const StoreReading& reading = {});

  const GistStore& store() const { return store_; }
  /// The row of an id, or of the instruction that was compressed. Throws Error(data) where there is
  /// none.
  std::uint64_t row_of_id(const std::string& id) const;
  std::uint64_t row_of_instruction(const std::string& instruction) const;
  /// Throws Error(usage) for a row that there is none of, and as GistStore::activations.
  PromptGist read(std::uint64_t row) const;

 private:
  GistStore store_;
  std::shared_ptr<const GistOrigin> origin_;
};

/// One thread at a time; different models may be used by different threads at the same time.
class GistModel {
 public:
  /// Opens the directory and loads the weights. `gist_tokens` is how many a prompt gets where the
  /// model has no gist.json, or one that leaves the choice; 0: nothing, or gist.json, says it.
  /// Throws as ModelFiles, open_device and Model do, and Error(usage) where `gist_tokens`
  /// contradicts gist.json or is negative.
  GistModel(const std::string& directory, const ModelSetup& setup, const DeviceEvents& events = {},
            std::int32_t gist_tokens = 0);
  GistModel(const GistModel&) = delete;  // its parts refer to each other
  GistModel& operator=(const GistModel&) = delete;

  const ModelFiles& files() const { return files_; }
  const ModelSpec& spec() const { return loaded_.model.spec(); }
  const Model& model() const { return loaded_.model; }
  const LoadedModel& loaded() const { return loaded_; }
  Dtype compute_dtype() const { return setup_.compute.dtype; }
  /// Returns how prompts are gisted; nothing where neither gist.json nor the constructor says it.
  const std::optional<Gisting>& gisting() const { return gisting_; }
  /// Returns what the model makes of prompts. Throws Error(usage) where how they are gisted isn't
  /// known, or the model doesn't compress: it was trained under another condition, or has no gist
  /// tokens.
  CompressionTask compressing() const;

  /// Compresses prompts, as compress_prompts does.
  std::vector<PromptGist> compress(std::span<const std::string> instructions);

  /// Returns the request that answers an input behind a gist. Throws Error(data), `place` first,
  /// where another model made the gist, or there is no room for an answer.
  TextRequest behind(const PromptGist& gist, const std::string& input, std::uint64_t ordinal = 0,
                     const std::string& place = "request");
  /// Returns the request that answers a record without a stored gist (ContextReader):
  /// {"instruction", "input"} or {"text"}. Its place is `place` and the record's line.
  TextRequest reading(const Record& record, const std::string& place = "request") const;

  /// Greedy, with the gist tokens banned and the model's end tokens.
  GenerationOptions generation_options() const;
  /// Answers what events.next gives.
  void answer(const GenerationOptions& options, const std::vector<std::string>& stops,
              const TextEvents& events);

 private:
  std::shared_ptr<const GistOrigin> origin();
  void check_origin(const std::shared_ptr<const GistOrigin>& origin);

  ModelSetup setup_;
  ModelFiles files_;
  LoadedModel loaded_;
  std::optional<Gisting> gisting_;
  std::optional<ContextReader> contexts_;
  std::shared_ptr<const GistOrigin> origin_;               // null until something is compressed
  std::vector<std::weak_ptr<const GistOrigin>> accepted_;  // of other gists that this model reads
};

}  // namespace gist

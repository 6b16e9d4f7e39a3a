// What answers the records of an evaluation: models under conditions, and baselines.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/evaluation.h"
#include "cli/model_options.h"
#include "core/baseline.h"
#include "core/cost.h"

namespace gist {

/// The options that say which systems there are: --model, --condition, --gist-tokens, --store,
/// --allow-mismatch, --baseline.
std::vector<OptionSpec> system_options();

/// One of the systems, opened; its weights are not loaded.
class EvaluatedSystem {
 public:
  /// `options` name one model, and at most one condition and k. With a baseline the condition is
  /// pos, and `kept_tokens` is the k that the prompt is cut or pooled to.
  EvaluatedSystem(const Options& options, std::optional<Baseline> baseline,
                  std::int32_t kept_tokens);
  EvaluatedSystem(const EvaluatedSystem&) = delete;  // members refer to each other
  EvaluatedSystem& operator=(const EvaluatedSystem&) = delete;

  /// Reads a record as the system does, however long it is. Throws Error(data), naming the line,
  /// for one that can't be used.
  EvaluationItem read(const Record& record, const std::string& where) const;
  /// Throws Error(data) where the model has too few positions for it.
  void check_length(const EvaluationItem& item, const Record& record,
                    const std::string& where) const;

  const SystemDescription& description() const { return description_; }
  void rename(const std::string& name) { description_.name = name; }
  const ModelFiles& files() const { return files_; }
  const ModelSpec& spec() const { return shapes_; }
  const PromptTemplate& prompt_template() const { return contexts_.prompt_template(); }
  std::int32_t kept_tokens() const { return kept_tokens_; }
  /// Bytes of a token's activations in a store: in the dtype of the given one, else in f32.
  std::size_t token_bytes() const { return stored_token_bytes(shapes_, contexts_.store_dtype()); }

  /// Loads the weights. Call it once.
  LoadedModel load();
  const ModelSetup& setup() const { return setup_; }
  /// For the model that `load` gave, which must outlive the function.
  StoredGists stored(const Model& model);

 private:
  Record with_cut_instruction(const Record& record) const;

  ModelSetup setup_;
  ModelFiles files_;
  std::unique_ptr<Family> family_;
  ModelSpec shapes_;
  ContextReader contexts_;
  std::optional<Baseline> baseline_;
  std::int32_t kept_tokens_;
  std::uint64_t seed_;
  SystemDescription description_;
};

/// A system with its weights; it stays where it is, as `stored` refers to the model.
struct LoadedSystem {
  explicit LoadedSystem(EvaluatedSystem& system)
      : loaded(system.load()), stored(system.stored(loaded.model)) {}
  LoadedSystem(const LoadedSystem&) = delete;
  LoadedSystem& operator=(const LoadedSystem&) = delete;
  LoadedModel loaded;
  StoredGists stored;
};

using Systems = std::vector<std::unique_ptr<EvaluatedSystem>>;

/// All systems that the options name, in their order: each model, then each baseline of the first
/// model under pos, with the k of the first under gist. Names are different from each other. Throws
/// Error(usage) for options that contradict each other.
Systems open_systems(const Options& options);

/// The system that others are compared with: the first under pos that is no baseline, else the
/// first.
std::size_t reference_among(const Systems& systems);

}  // namespace gist

// A system answers the records of an evaluation: a model under a condition, or a baseline.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/baseline.h"
#include "core/cost.h"
#include "gist/evaluation.h"
#include "gist/loaded_model.h"

namespace gist {

/// SystemSetup says how a model answers.
struct SystemSetup {
  ModelSetup model;  // how the model is found and run
  /// `contexts` says what records are read as. Where it names no store and no gisting, gist.json
  /// says it, if there is one.
  ContextSource contexts;
  /// `baseline` is what the model makes of k tokens without training; then the condition is pos,
  /// and `kept_tokens`, at least 1, is the k that the prompt is cut or pooled to.
  std::optional<Baseline> baseline;
  std::int32_t kept_tokens = 0;
  std::uint64_t seed = 0;  // of a random baseline
};

/// One of the systems, opened; its weights are not loaded. Its name is the directory's, the
/// adapter's where it has one, with the baseline's.
class EvaluatedSystem {
 public:
  /// `files` are what open_model gave, and `family` what family_of did. Opens the store, if there
  /// is one: throws as ContextReader does, and Error(usage) for a baseline that the family can't
  /// be.
  EvaluatedSystem(ModelFiles files, std::unique_ptr<Family> family, SystemSetup setup);
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
  /// Bytes of a token's activations in a store: in the dtype of the given one, else in f32.
  std::size_t token_bytes() const { return stored_token_bytes(shapes_, contexts_.store_dtype()); }

  /// Returns `limits`, in which the caller says how many tokens answers may have, with the model's
  /// end tokens, and its gist tokens banned.
  GenerationOptions generation(const GenerationOptions& limits) const;

  /// Loads the weights, onto what `open_backend` opens; without it, open_device. Call it once.
  LoadedModel load(const BackendOpener& open_backend);
  const ModelSetup& setup() const { return setup_.model; }
  /// What the model's family says of its configuration, a line each.
  const std::vector<std::string>& warnings() const { return files_.warnings; }
  /// Compresses with the model that `load` gave, which must outlive the function.
  StoredGists stored(const Model& model);

 private:
  Record with_cut_instruction(const Record& record) const;

  SystemSetup setup_;
  ModelFiles files_;
  std::unique_ptr<Family> family_;
  ModelSpec shapes_;
  ContextReader contexts_;
  SystemDescription description_;
};

/// A system with its weights; it stays where it is, as `stored` refers to the model.
struct LoadedSystem {
  LoadedSystem(EvaluatedSystem& system, const BackendOpener& open_backend)
      : loaded(system.load(open_backend)), stored(system.stored(loaded.model)) {}
  LoadedSystem(const LoadedSystem&) = delete;
  LoadedSystem& operator=(const LoadedSystem&) = delete;
  LoadedModel loaded;
  StoredGists stored;
};

using Systems = std::vector<std::unique_ptr<EvaluatedSystem>>;

/// The system of a model's directory. Throws as open_model, family_of and the constructor do.
std::unique_ptr<EvaluatedSystem> open_system(const std::string& directory,
                                             const SystemSetup& setup);

/// Makes names different from each other, where models or baselines of one name are compared: by
/// the condition, then k, then a number.
void give_names(const Systems& systems);

/// The system that others are compared with: the first under pos that is no baseline, else the
/// first.
std::size_t reference_among(const Systems& systems);

}  // namespace gist

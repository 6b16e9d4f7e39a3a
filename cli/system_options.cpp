#include "cli/system_options.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "cli/context_options.h"
#include "cli/model_options.h"
#include "cli/store_options.h"
#include "formats/files/text.h"
#include "formats/model/fingerprint.h"
#include "kernels/error.h"

namespace gist {
namespace {

/// Returns which of the models answers from the store: the only one, or the first that made it.
std::optional<std::size_t> model_behind_store(const Options& options) {
  if (!options.has("store")) return std::nullopt;
  const std::vector<std::string> models = options.list("model");
  if (models.size() == 1) {
    refuse_gisting_beside_store(options);
    return 0;
  }
  const GistStore store(options.text("store"), store_reading(options));
  for (std::size_t i = 0; i < models.size(); ++i) {
    if (model_sha256(Checkpoint(models[i])) == store.header().model_sha256) return i;
  }
  fail(ErrorKind::data,
       "--store {}: none of these models made it: name the one that did, or give --allow-mismatch "
       "with one --model",
       options.text("store"));
}

/// Returns what an option says of the i-th model: a list has one value for each model, or one for
/// all.
std::optional<std::string> value_for(const Options& options, const char* name, std::size_t i,
                                     std::size_t systems) {
  const std::vector<std::string> values = options.list(name);
  if (values.empty()) return std::nullopt;
  if (values.size() != 1 && values.size() != systems) {
    fail(ErrorKind::usage,
         "--{} is given {} times for {} models: give it once for all, or once for each", name,
         values.size(), systems);
  }
  return values[values.size() == 1 ? 0 : i];
}

/// The options of the i-th model; a store is that of `behind_store`, and says under which condition
/// and with which k.
Options options_of(const Options& options, std::size_t i, std::size_t systems,
                   std::optional<std::size_t> behind_store) {
  Options result = options.with("model", value_for(options, "model", i, systems))
                       .with("condition", value_for(options, "condition", i, systems))
                       .with("gist-tokens", value_for(options, "gist-tokens", i, systems));
  if (!behind_store) return result;
  if (i == *behind_store) return result.with("condition", {}).with("gist-tokens", {});
  return result.with("store", {}).with("allow-mismatch", {});
}

/// Opens the system that `options` name: one model, and at most one condition and k.
std::unique_ptr<EvaluatedSystem> opened(SystemSetup setup, const Options& options) {
  ModelFiles files = open_model_and_tell(options.text("model"), setup.model);
  std::unique_ptr<Family> family = family_of(files, setup.model);
  setup.contexts = context_source(files, family->spec(), options);
  return std::make_unique<EvaluatedSystem>(std::move(files), std::move(family), std::move(setup));
}

}  // namespace

std::vector<OptionSpec> system_options() {
  return {{"model", OptionKind::list, "DIR", "", "Hugging Face directory; several are compared"},
          {"condition", OptionKind::list, "NAME", "",
           "gist, pos or neg, once for each model or for all; by default gist.json says it"},
          {"gist-tokens", OptionKind::list, "K", "",
           "gist tokens after each instruction, likewise; by default gist.json says it"},
          {"store", OptionKind::text, "STORE", "",
           "the first --model that made this store answers from the gists in it, as it says"},
          {"allow-mismatch", OptionKind::flag, "", "",
           "use a store that was made with another model of the same shape"},
          store_cache_option(),
          trust_store_option(),
          {"baseline", OptionKind::list, "NAME", "",
           "what the pos model makes of k tokens without training, k as the gist model's: cut (the "
           "prompt's first k tokens), pooled (keys and values averaged over k segments), random (k "
           "tokens' keys and values)"}};
}

Systems open_systems(const Options& options) {
  const std::size_t models = options.list("model").size();
  const std::optional<std::size_t> behind_store = model_behind_store(options);
  // One model under several conditions or with several ks is as many systems.
  const std::size_t count = std::max({models, models == 1 ? options.list("condition").size() : 0,
                                      models == 1 ? options.list("gist-tokens").size() : 0});
  SystemSetup setup;  // what all systems have in common
  setup.model = setup_of(options);
  setup.seed = static_cast<std::uint64_t>(
      options.integer("seed", 0, std::numeric_limits<std::int64_t>::max()));
  Systems systems;
  for (std::size_t i = 0; i < count; ++i) {
    systems.push_back(opened(setup, options_of(options, i, count, behind_store)));
  }
  const auto first_under = [&](Condition condition) {
    const auto found = std::find_if(systems.begin(), systems.end(), [&](const auto& system) {
      return system->description().condition == condition;
    });
    return found == systems.end() ? count : static_cast<std::size_t>(found - systems.begin());
  };
  const std::size_t pos = first_under(Condition::pos), gist = first_under(Condition::gist);
  for (const std::string& name : options.list("baseline")) {
    const std::optional<Baseline> baseline = baseline_named(name);
    if (!baseline) {
      fail(ErrorKind::usage, "--baseline: expected cut, pooled or random, found {}",
           in_quotes(name));
    }
    if (pos == count || gist == count) {
      fail(ErrorKind::usage,
           "--baseline needs a --model under pos, which it is made of, and one under gist, whose k "
           "it has");
    }
    setup.baseline = baseline;
    setup.kept_tokens = static_cast<std::int32_t>(systems[gist]->description().gist_tokens);
    systems.push_back(opened(setup, options_of(options, pos, count, behind_store)));
  }
  give_names(systems);
  return systems;
}

}  // namespace gist

#include "cli/system_options.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <set>
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

/// Returns which of the systems answers from the store: the only one's, or the first whose model
/// made it.
std::optional<std::size_t> system_behind_store(const SystemsRequest& request) {
  if (!request.store) return std::nullopt;
  const std::vector<SystemsRequest::System>& systems = request.systems;
  if (systems.size() == 1) return 0;
  const GistStore store(*request.store, request.reading);
  for (std::size_t i = 0; i < systems.size(); ++i) {
    if (model_sha256(Checkpoint(systems[i].model)) == store.header().model_sha256) return i;
  }
  fail(ErrorKind::data,
       "--store {}: none of these models made it: name the one that did, or give --allow-mismatch "
       "with one --model",
       *request.store);
}

/// Opens a system. A store says under which condition it was made, and with which k.
std::unique_ptr<EvaluatedSystem> opened(SystemSetup setup, const SystemsRequest& request,
                                        std::size_t i, std::optional<std::size_t> behind_store) {
  const SystemsRequest::System& system = request.systems[i];
  setup.model.adapter = system.adapter;
  ModelFiles files = open_model_and_tell(system.model, setup.model);
  std::unique_ptr<Family> family = family_of(files, setup.model);
  ContextRequest contexts;
  if (behind_store == i) {
    contexts.store = request.store;
    contexts.reading = request.reading;
    contexts.allow_mismatch = request.allow_mismatch;
  } else {
    contexts.gisting = system.gisting;
  }
  setup.contexts = context_source(contexts, files, family->spec());
  return std::make_unique<EvaluatedSystem>(std::move(files), std::move(family), std::move(setup));
}

std::vector<Baseline> baselines_of(const Options& options) {
  std::vector<Baseline> baselines;
  for (const std::string& name : options.list("baseline")) {
    const std::optional<Baseline> baseline = baseline_named(name);
    if (!baseline) {
      fail(ErrorKind::usage, "--baseline: expected cut, pooled or random, found {}",
           in_quotes(name));
    }
    baselines.push_back(*baseline);
  }
  return baselines;
}

}  // namespace

std::vector<OptionSpec> system_options() {
  return {
      {"model", OptionKind::list, "DIR", "", "Hugging Face directory; several are compared"},
      {"adapter", OptionKind::list, "DIR", "",
       "an adapter that gist train made for the model, or none; once for each model or for all"},
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

SystemsRequest systems_request(const Options& options) {
  SystemsRequest request;
  const std::size_t models = options.list("model").size();
  if (models == 0) return request;
  request.common.model = setup_of(options);
  request.common.seed = static_cast<std::uint64_t>(
      options.integer("seed", 0, std::numeric_limits<std::int64_t>::max()));
  if (options.has("store")) {
    if (models == 1) refuse_gisting_beside_store(options);
    request.store = options.text("store");
    request.reading = store_reading(options);
  }
  request.allow_mismatch = options.flag("allow-mismatch");
  if (request.allow_mismatch && !request.store) {
    fail(ErrorKind::usage, "--allow-mismatch needs --store");
  }
  // One model under several conditions or with several ks is as many systems.
  const std::size_t count = std::max({models, models == 1 ? options.list("condition").size() : 0,
                                      models == 1 ? options.list("gist-tokens").size() : 0,
                                      models == 1 ? options.list("adapter").size() : 0});
  for (std::size_t i = 0; i < count; ++i) {
    const Options own = options.with("condition", value_for(options, "condition", i, count))
                            .with("gist-tokens", value_for(options, "gist-tokens", i, count));
    const std::string adapter = value_for(options, "adapter", i, count).value_or("none");
    request.systems.push_back({*value_for(options, "model", i, count), gisting_request(own),
                               adapter == "none" ? "" : adapter});
  }
  request.baselines = baselines_of(options);
  return request;
}

Systems open_systems(const SystemsRequest& request) {
  const std::size_t count = request.systems.size();
  const std::optional<std::size_t> behind_store = system_behind_store(request);
  Systems systems;
  std::set<std::string> told;  // a model may stand in several systems
  for (std::size_t i = 0; i < count; ++i) {
    systems.push_back(opened(request.common, request, i, behind_store));
    for (const std::string& warning : systems.back()->warnings()) {
      if (told.insert(warning).second) spdlog::warn("{}", warning);
    }
  }
  const auto first_under = [&](Condition condition) {
    const auto found = std::find_if(systems.begin(), systems.end(), [&](const auto& system) {
      return system->description().condition == condition;
    });
    return found == systems.end() ? count : static_cast<std::size_t>(found - systems.begin());
  };
  const std::size_t pos = first_under(Condition::pos), gist = first_under(Condition::gist);
  if (!request.baselines.empty() && (pos == count || gist == count)) {
    fail(ErrorKind::usage,
         "--baseline needs a --model under pos, which it is made of, and one under gist, whose k "
         "it has");
  }
  for (const Baseline baseline : request.baselines) {
    SystemSetup setup = request.common;
    setup.baseline = baseline;
    setup.kept_tokens = static_cast<std::int32_t>(systems[gist]->description().gist_tokens);
    systems.push_back(opened(std::move(setup), request, pos, behind_store));
  }
  give_names(systems);
  return systems;
}

}  // namespace gist

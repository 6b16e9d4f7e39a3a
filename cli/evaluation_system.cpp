#include "cli/evaluation_system.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <map>
#include <set>
#include <span>
#include <utility>

#include "cli/context_options.h"
#include "cli/store_options.h"
#include "core/compress.h"
#include "formats/files/json_text.h"
#include "formats/files/text.h"
#include "formats/model/fingerprint.h"
#include "kernels/error.h"

namespace gist {
namespace {

std::string directory_name(const std::string& path) {
  std::filesystem::path directory = std::filesystem::path(path).lexically_normal();
  if (!directory.has_filename()) directory = directory.parent_path();
  return directory.filename().empty() ? path : directory.filename().string();
}

/// The text's first k tokens, as text. Tokens that are white space alone, as SentencePiece's
/// first one may be, are not counted.
std::string cut_to(std::int32_t k, const std::string& text, const Tokenizer& tokenizer) {
  const std::vector<std::int32_t> ids = tokenizer.encode(strip(text));
  std::size_t end = 0;
  while (end < ids.size() && k > 0) {
    if (!strip(tokenizer.decode({&ids[end++], 1})).empty()) --k;
  }
  return tokenizer.decode(std::span(ids).first(end));
}

/// Which of the models answers from the store: the only one, or the first that made it.
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

/// What an option says of the i-th model: a list has one value for each model, or one for all.
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

void give_names(Systems& systems) {
  std::map<std::string, int> times;
  for (const auto& system : systems) ++times[system->description().name];
  std::set<std::string> taken;
  for (const auto& system : systems) {
    const SystemDescription& description = system->description();
    std::string name = description.name;
    if (times[name] > 1) name += fmt::format(" {}", name_of(description.condition));
    if (times[description.name] > 1 && taken.contains(name)) {
      name += fmt::format(" k={}", description.gist_tokens);
    }
    const std::string base = name;
    for (int i = 2; taken.contains(name); ++i) name = fmt::format("{} ({})", base, i);
    taken.insert(name);
    system->rename(name);
  }
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

EvaluatedSystem::EvaluatedSystem(const Options& options, std::optional<Baseline> baseline,
                                 std::int32_t kept_tokens)
    : setup_(setup_of(options)),
      files_(open_model_and_tell(options.text("model"), setup_)),
      family_(family_of(files_, setup_)),
      shapes_(family_->spec()),
      contexts_(files_, shapes_, context_source(files_, shapes_, options)),
      baseline_(baseline),
      kept_tokens_(kept_tokens),
      seed_(static_cast<std::uint64_t>(
          options.integer("seed", 0, std::numeric_limits<std::int64_t>::max()))) {
  description_.model = files_.path;
  description_.name = directory_name(files_.path);
  description_.condition = contexts_.condition();
  description_.gist_tokens = contexts_.gist_tokens();
  if (options.has("store")) description_.store = options.text("store");
  if (!baseline_) return;
  description_.baseline = name_of(*baseline_);
  description_.name += "+" + description_.baseline;
  description_.gist_tokens = kept_tokens_;
  if (*baseline_ != Baseline::cut && shapes_.encoder_decoder()) {
    fail(ErrorKind::usage,
         "--baseline {}: an encoder-decoder's prompt has no keys and values of its own, because it "
         "sees the input; --baseline cut works",
         name_of(*baseline_));
  }
}

/// The record, its instruction cut to kept_tokens_.
Record EvaluatedSystem::with_cut_instruction(const Record& record) const {
  Record cut = record;
  cut.map = nullptr;
  if (record.map != nullptr) {
    for (const auto& [name, path] : *record.map) {
      if (const std::string* text = record.find_string(name)) cut.fields[name] = *text;
    }
  }
  cut.fields["instruction"] = cut_to(kept_tokens_, record.string("instruction"), files_.tokenizer);
  return cut;
}

EvaluationItem EvaluatedSystem::read(const Record& record, const std::string& where) const {
  EvaluationItem item;
  if (baseline_ == Baseline::cut) {
    item.context = contexts_.read_any_length(with_cut_instruction(record), where);
  } else {
    item.context = contexts_.read_any_length(record, where);
  }
  if (baseline_ && *baseline_ != Baseline::cut) {
    Context& context = item.context;
    if (context.sequence.gists.empty()) {
      fail(ErrorKind::data, "{}:{}: --baseline {} needs an \"instruction\" before gist tokens",
           where, record.line, name_of(*baseline_));
    }
    std::vector<std::int32_t>& ids = context.sequence.ids;
    const Interval gist = context.sequence.gists.front();
    item.prompt.assign(ids.begin(), ids.begin() + gist.begin);
    ids.erase(ids.begin(), ids.begin() + gist.end);
    context.sequence.gists.clear();
    context.stored_position = gist.begin;
    context.stored_tokens = std::min(kept_tokens_, gist.begin);
    context.kept_tokens = context.stored_tokens;
  }
  item.labels = answer_tokens(record.string("output"), files_.tokenizer, files_.ends.written);
  item.ordinal = record.ordinal;
  if (item.labels.empty()) {
    fail(ErrorKind::data, "{}:{}: field \"output\" has no tokens: there is nothing to predict",
         where, record.line);
  }
  return item;
}

void EvaluatedSystem::check_length(const EvaluationItem& item, const Record& record,
                                   const std::string& where) const {
  const std::int32_t positions = shapes_.max_positions;
  if (positions == 0 || item.tokens() <= positions) return;
  fail(ErrorKind::data,
       "{}:{}: the record and its answer take {} tokens, but the model has {} positions; "
       "--max-tokens {} leaves longer ones out",
       where, record.line, item.tokens(), positions, positions);
}

LoadedModel EvaluatedSystem::load() {
  return load_model(files_, std::move(family_), open_backend(setup_));
}

StoredGists EvaluatedSystem::stored(const Model& model) {
  if (!baseline_ || *baseline_ == Baseline::cut) {
    return [this](const EvaluationItem& item) { return contexts_.stored(item.context); };
  }
  return [this, &model,
          scratch = std::make_shared<Scratch>(model.backend())](const EvaluationItem& item) {
    const Sequence prompt{item.prompt, {}};
    const Interval all{0, prompt.tokens()};
    const GistActivations whole =
        compress(model, {&prompt, 1}, {&all, 1}, Condition::pos, *scratch).front();
    return std::make_shared<const GistActivations>(
        *baseline_ == Baseline::pooled ? mean_pooled(whole, kept_tokens_)
                                       : random_tokens(whole, kept_tokens_, seed_, item.ordinal));
  };
}

Systems open_systems(const Options& options) {
  const std::size_t models = options.list("model").size();
  const std::optional<std::size_t> behind_store = model_behind_store(options);
  // One model under several conditions or with several ks is as many systems.
  const std::size_t count = std::max({models, models == 1 ? options.list("condition").size() : 0,
                                      models == 1 ? options.list("gist-tokens").size() : 0});
  Systems systems;
  for (std::size_t i = 0; i < count; ++i) {
    systems.push_back(std::make_unique<EvaluatedSystem>(options_of(options, i, count, behind_store),
                                                        std::nullopt, 0));
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
    systems.push_back(std::make_unique<EvaluatedSystem>(
        options_of(options, pos, count, behind_store), *baseline,
        static_cast<std::int32_t>(systems[gist]->description().gist_tokens)));
  }
  give_names(systems);
  return systems;
}

std::size_t reference_among(const Systems& systems) {
  for (std::size_t i = 0; i < systems.size(); ++i) {
    const SystemDescription& each = systems[i]->description();
    if (each.condition == Condition::pos && each.baseline.empty()) return i;
  }
  return 0;
}

}  // namespace gist

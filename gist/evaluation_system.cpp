#include "gist/evaluation_system.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <span>
#include <utility>

#include "core/compress.h"
#include "formats/files/text.h"
#include "formats/model/prompt_template.h"
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

/// The source, or what gist.json says where it says nothing.
ContextSource or_trained(ContextSource source, const std::optional<GistSettings>& settings) {
  if (source.store || source.gisting || !settings) return source;
  source.gisting = trained_gisting(*settings);
  return source;
}

}  // namespace

EvaluatedSystem::EvaluatedSystem(ModelFiles files, std::unique_ptr<Family> family,
                                 SystemSetup setup)
    : setup_(std::move(setup)),
      files_(std::move(files)),
      family_(std::move(family)),
      shapes_(family_->spec()),
      contexts_(files_, shapes_, or_trained(setup_.contexts, files_.settings)) {
  description_.model = files_.path;
  description_.name = directory_name(files_.adapter ? files_.adapter->path : files_.path);
  description_.condition = contexts_.condition();
  description_.gist_tokens = contexts_.gist_tokens();
  if (setup_.contexts.store) description_.store = setup_.contexts.store->string();
  if (!setup_.baseline) return;
  const Baseline baseline = *setup_.baseline;
  description_.baseline = name_of(baseline);
  description_.name += "+" + description_.baseline;
  description_.gist_tokens = setup_.kept_tokens;
  if (baseline != Baseline::cut && shapes_.encoder_decoder()) {
    fail(ErrorKind::usage,
         "the baseline {0} (--baseline {0}): an encoder-decoder's prompt has no keys and values of "
         "its own, because it sees the input; the baseline cut works",
         name_of(baseline));
  }
}

/// The record, its instruction cut to setup_.kept_tokens.
Record EvaluatedSystem::with_cut_instruction(const Record& record) const {
  Record cut = record;
  cut.map = nullptr;
  if (record.map != nullptr) {
    for (const auto& [name, path] : *record.map) {
      if (const std::string* text = record.find_string(name)) cut.fields[name] = *text;
    }
  }
  cut.fields["instruction"] =
      cut_to(setup_.kept_tokens, record.string("instruction"), files_.tokenizer);
  return cut;
}

EvaluationItem EvaluatedSystem::read(const Record& record, const std::string& where) const {
  EvaluationItem item;
  if (setup_.baseline == Baseline::cut) {
    item.context = contexts_.read_any_length(with_cut_instruction(record), where);
  } else {
    item.context = contexts_.read_any_length(record, where);
  }
  if (setup_.baseline && *setup_.baseline != Baseline::cut) {
    Context& context = item.context;
    if (context.sequence.gists.empty()) {
      fail(ErrorKind::data,
           "{}:{}: the baseline {} (--baseline) needs an \"instruction\" before gist tokens", where,
           record.line, name_of(*setup_.baseline));
    }
    std::vector<std::int32_t>& ids = context.sequence.ids;
    const Interval gist = context.sequence.gists.front();
    item.prompt.assign(ids.begin(), ids.begin() + gist.begin);
    ids.erase(ids.begin(), ids.begin() + gist.end);
    context.sequence.gists.clear();
    context.stored_position = gist.begin;
    context.stored_tokens = std::min(setup_.kept_tokens, gist.begin);
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
       "a limit of {} tokens (--max-tokens {}) leaves longer ones out",
       where, record.line, item.tokens(), positions, positions, positions);
}

GenerationOptions EvaluatedSystem::generation(const GenerationOptions& limits) const {
  GenerationOptions result = limits;
  result.ends = files_.ends.ids;
  ban(files_.tokenizer.gist_ids(), result.sampling);
  return result;
}

LoadedModel EvaluatedSystem::load(const BackendOpener& open_backend) {
  std::unique_ptr<Backend> backend =
      open_backend ? open_backend(setup()) : open_device(setup().device, setup().compute);
  return load_model(files_, std::move(family_), std::move(backend));
}

StoredGists EvaluatedSystem::stored(const Model& model) {
  if (!setup_.baseline || *setup_.baseline == Baseline::cut) {
    return [this](const EvaluationItem& item) { return contexts_.stored(item.context); };
  }
  return [this, &model,
          scratch = std::make_shared<Scratch>(model.backend())](const EvaluationItem& item) {
    const Sequence prompt{item.prompt, {}};
    const Interval all{0, prompt.tokens()};
    const GistActivations whole =
        compress(model, {&prompt, 1}, {&all, 1}, Condition::pos, *scratch).front();
    return std::make_shared<const GistActivations>(
        *setup_.baseline == Baseline::pooled
            ? mean_pooled(whole, setup_.kept_tokens)
            : random_tokens(whole, setup_.kept_tokens, setup_.seed, item.ordinal));
  };
}

std::unique_ptr<EvaluatedSystem> open_system(const std::string& directory,
                                             const SystemSetup& setup) {
  ModelFiles files = open_model(directory, setup.model);
  std::unique_ptr<Family> family = family_of(files, setup.model);
  return std::make_unique<EvaluatedSystem>(std::move(files), std::move(family), setup);
}

void give_names(const Systems& systems) {
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

std::size_t reference_among(const Systems& systems) {
  for (std::size_t i = 0; i < systems.size(); ++i) {
    const SystemDescription& each = systems[i]->description();
    if (each.condition == Condition::pos && each.baseline.empty()) return i;
  }
  return 0;
}

}  // namespace gist

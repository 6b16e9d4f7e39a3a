#include "gist/gist_model.h"

#include <utility>

#include "formats/files/json_text.h"
#include "formats/files/text.h"
#include "formats/sequences/store_of_model.h"
#include "gist/compress_prompts.h"
#include "kernels/error.h"

namespace gist {
namespace {

std::optional<Gisting> gisting_of(const ModelFiles& files, const ModelSpec& spec,
                                  std::int32_t gist_tokens) {
  if (gist_tokens < 0) {
    fail(ErrorKind::usage, "gist_tokens: expected 0 or more, found {}", gist_tokens);
  }
  if (!files.settings) {
    if (gist_tokens == 0) return std::nullopt;
    return Gisting{Condition::gist, gist_tokens, default_template(spec, files.tokenizer)};
  }
  const GistSettings& settings = *files.settings;
  Gisting gisting = trained_gisting(settings);
  if (gist_tokens > 0 && settings.least_gist_tokens > 0) {  // the model has a choice
    gisting.gist_tokens = gist_tokens;
    check_gist_tokens(settings, gisting, files.path);
  } else if (gist_tokens > 0 && gist_tokens != settings.gist_tokens) {
    fail(ErrorKind::usage, "gist_tokens: {} here, {} in {}/gist.json: leave it 0", gist_tokens,
         settings.gist_tokens, files.path);
  }
  return gisting;
}

}  // namespace

GistSource::GistSource(const std::filesystem::path& path, const StoreReading& reading)
    : store_(path, reading) {
  GistOrigin origin;
  origin.name = path.string();
  origin.header = store_.header();
  const std::string place = origin.name + ": attribute template";
  origin.prompt_template =
      PromptTemplate::parse(parse_json(origin.header.prompt_template, place), place);
  origin_ = std::make_shared<const GistOrigin>(std::move(origin));
}

std::uint64_t GistSource::row_of_id(const std::string& id) const {
  if (const std::optional<std::uint64_t> row = store_.find(id)) return *row;
  fail(ErrorKind::data, "{} has no gist with id {}", origin_->name, in_quotes(id));
}

std::uint64_t GistSource::row_of_instruction(const std::string& instruction) const {
  if (const auto row = store_.find_prompt(sha256(strip(instruction)))) return *row;
  fail(ErrorKind::data, "{} has no gist of the instruction {}", origin_->name,
       in_quotes(instruction));
}

PromptGist GistSource::read(std::uint64_t row) const {
  if (row >= store_.rows()) {
    fail(ErrorKind::usage, "{} has {} rows: there is no row {}", origin_->name, store_.rows(), row);
  }
  return {std::make_shared<const GistActivations>(store_.activations(row)),
          static_cast<std::int32_t>(store_.row(row).position), origin_};
}

GistModel::GistModel(const std::string& directory, const ModelSetup& setup,
                     const DeviceEvents& events, std::int32_t gist_tokens)
    : setup_(setup),
      files_(open_model(directory, setup_)),
      loaded_(load_model(files_, family_of(files_, setup_),
                         open_device(setup_.device, setup_.compute, events))),
      gisting_(gisting_of(files_, spec(), gist_tokens)) {
  ContextSource source;
  source.gisting = gisting_;
  contexts_.emplace(files_, spec(), source);
}

CompressionTask GistModel::compressing() const {
  if (!gisting_) {
    fail(ErrorKind::usage,
         "{} has no gist.json, which says how many gist tokens it was trained with: give "
         "gist_tokens",
         files_.path);
  }
  return compression_task(*gisting_, false, spec(), files_.path);
}

std::shared_ptr<const GistOrigin> GistModel::origin() {
  if (!origin_) {
    GistOrigin origin;
    origin.name = "a gist of " + files_.path;
    origin.prompt_template = gisting_->prompt_template;
    origin.header = store_header(files_, spec(), gisting_->condition, gisting_->gist_tokens,
                                 gisting_->prompt_template);
    origin_ = std::make_shared<const GistOrigin>(std::move(origin));
  }
  return origin_;
}

std::vector<PromptGist> GistModel::compress(std::span<const std::string> instructions) {
  std::vector<PromptGist> gists;
  for (MadeGist& gist : compress_prompts(files_, loaded_, compressing(), instructions)) {
    gists.push_back({std::make_shared<const GistActivations>(std::move(gist.activations)),
                     gist.position, origin()});
  }
  return gists;
}

/// Fingerprints are compared once for each store, not for each request.
void GistModel::check_origin(const std::shared_ptr<const GistOrigin>& origin) {
  if (origin == origin_) return;
  std::erase_if(accepted_, [](const auto& other) { return other.expired(); });
  for (const auto& other : accepted_) {
    if (other.lock() == origin) return;
  }
  check_made_with(origin->header, origin->name, files_, spec(), false);
  accepted_.push_back(origin);
}

TextRequest GistModel::behind(const PromptGist& gist, const std::string& input,
                              std::uint64_t ordinal, const std::string& place) {
  check_origin(gist.origin);
  TextRequest request;
  request.context = context_behind_gist(
      gist.origin->prompt_template, files_.tokenizer, gist.activations->tokens, gist.position,
      [&](std::string_view field) -> std::string {
        if (field == "input") return input;
        fail(ErrorKind::data, "{}: the template reads \"{}\", which a request has not", place,
             field);
      });
  check_tokens(request.context, place);
  check_room(request.context, spec(), place);
  request.stored = gist.activations;
  request.ordinal = ordinal;
  return request;
}

TextRequest GistModel::reading(const Record& record, const std::string& place) const {
  return {contexts_->read(record, place), nullptr, record.ordinal};
}

GenerationOptions GistModel::generation_options() const {
  GenerationOptions options;
  options.ends = files_.ends.ids;
  ban(files_.tokenizer.gist_ids(), options.sampling);
  return options;
}

void GistModel::answer(const GenerationOptions& options, const std::vector<std::string>& stops,
                       const TextEvents& events) {
  generate_texts(loaded_.model, files_.tokenizer, options, stops, events);
}

}  // namespace gist

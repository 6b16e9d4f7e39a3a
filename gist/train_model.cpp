#include "gist/train_model.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "formats/files/json_text.h"
#include "formats/files/sha256.h"
#include "formats/files/text.h"
#include "formats/model/fingerprint.h"
#include "formats/model/gist_token.h"
#include "kernels/error.h"

namespace gist {
namespace {

constexpr const char* vocabulary_key = "vocab_size";

/// How many of the model's ids the base has: the first ones.
std::int32_t known_ids(const BaseModel& base) {
  const GistIds known = base.tokenizer.gist_ids();
  return known.any() ? std::min(known.count, base.gist_ids.count) : 0;
}

std::vector<std::int32_t> rows_of_word(const std::string& word, const Tokenizer& tokenizer) {
  std::vector<std::int32_t> ids = tokenizer.encode(word);
  const std::optional<std::int32_t> unknown = tokenizer.unk();
  if (ids.empty() || (unknown && std::find(ids.begin(), ids.end(), *unknown) != ids.end())) {
    fail(ErrorKind::usage,
         "a gist token is to start from {} (--gist-init), for which {} has no tokens: choose "
         "another word",
         in_quotes(word), tokenizer.path().string());
  }
  return ids;
}

/// Part i of `parts` of the rows [0, rows), which are as equal as can be.
std::vector<std::int32_t> part_of_rows(std::int64_t rows, std::int64_t i, std::int64_t parts) {
  const auto begin = static_cast<std::int32_t>(i * rows / parts);
  const auto end = static_cast<std::int32_t>((i + 1) * rows / parts);
  std::vector<std::int32_t> part(static_cast<std::size_t>(std::max(end - begin, 1)));
  std::iota(part.begin(), part.end(), begin);
  return part;
}

/// The ids that the base lacks, and what they start from.
NewTokens new_ids(const BaseModel& base, const std::vector<std::string>& words) {
  const std::int32_t known = known_ids(base);
  const std::int32_t count = base.gist_ids.any() ? base.gist_ids.count - known : 0;
  if (!words.empty() && std::ssize(words) != count) {
    fail(
        ErrorKind::usage,
        "new gist tokens start from a word each (--gist-init): expected {}, found {}; {} has {} of "
        "{} already",
        count, words.size(), base.tokenizer.path().string(), known, known + count);
  }
  NewTokens tokens{base.gist_ids.any() ? base.gist_ids.first + known : 0, {}};
  for (std::int32_t i = 0; i < count; ++i) {
    if (!words.empty()) {
      tokens.mean_of.push_back(rows_of_word(words[static_cast<std::size_t>(i)], base.tokenizer));
    } else if (known > 0) {
      tokens.mean_of.push_back({tokens.first - 1});
    } else {
      tokens.mean_of.push_back(
          part_of_rows(std::min<std::int64_t>(tokens.first, base.rows), i, count));
    }
  }
  return tokens;
}

/// All ids: those that the base has start from their own rows.
NewTokens with_known_ids(const NewTokens& added, std::int32_t first, std::int32_t known) {
  NewTokens tokens{first, {}};
  for (std::int32_t i = 0; i < known; ++i) tokens.mean_of.push_back({first + i});
  tokens.mean_of.insert(tokens.mean_of.end(), added.mean_of.begin(), added.mean_of.end());
  return tokens;
}

/// Fills an adapter's parameters: a new one changes nothing but that gist tokens have their rows.
void fill_adapter(Parameters& parameters, const BaseModel& base, const ModelSpec& spec,
                  std::uint64_t seed) {
  initialise(parameters, seed);
  const WeightSource source = under_declared_names(base.checkpoint->source(), spec);
  const WeightSpec& table = spec.weights[static_cast<std::size_t>(embedding_table_of(spec))];
  const FoundWeight found = found_weight(source, table.name, table.shape);
  const std::vector<float> rows = rows_of_new_tokens(found.tensor, base.new_gist_ids);
  parameters.backend().upload(parameters.of(Parameters::Kind::value, gist_rows_of(parameters)),
                              rows.data());
}

std::string range_of_ids(std::int32_t first, std::int32_t end) {
  const std::string name = Tokenizer::gist_token_text(first);
  return first + 1 == end ? name
                          : fmt::format("{} to {}", name, Tokenizer::gist_token_text(end - 1));
}

}  // namespace

BaseModel base_from_model(ModelFiles files) {
  BaseModel base{files.path,
                 files.path,
                 files.path,
                 std::move(files.tokenizer),
                 std::move(files.ends),
                 std::move(files.checkpoint),
                 std::move(files.settings),
                 std::move(files.config)};
  if (base.settings) base.ignored_tensors = base.settings->ignored_tensors;
  base.ignored_tensors.insert(base.ignored_tensors.end(), files.ignored_tensors.begin(),
                              files.ignored_tensors.end());
  return base;
}

BaseModel base_from_config(const std::filesystem::path& config,
                           const std::filesystem::path& tokenizer) {
  nlohmann::json content = read_json_object(config);
  Tokenizer opened = Tokenizer::open(tokenizer);
  EndTokens ends = end_tokens("", content, opened);
  return {config.string(), tokenizer,    {},           std::move(opened),
          std::move(ends), std::nullopt, std::nullopt, std::move(content)};
}

void fit_vocabulary(BaseModel& base, std::int32_t gist_ids, const std::vector<std::string>& words,
                    const std::optional<AdapterSpec>& adapter) {
  const auto found = base.config.find(vocabulary_key);
  if (found == base.config.end() || !found->is_number_integer()) {
    fail(ErrorKind::data, "{}: the configuration lacks \"{}\", a whole number", base.name,
         vocabulary_key);
  }
  base.rows = found->get<std::int64_t>();
  base.gist_ids = gist_ids > 0 ? gist_ids_in(base.tokenizer, gist_ids) : GistIds();
  // Padding tokens may have no row; those of the vocabulary file and gists that are there have one.
  const std::int32_t known = known_ids(base);
  const std::int32_t tokens = known > 0
                                  ? std::max(base.tokenizer.pieces(), base.gist_ids.first + known)
                                  : base.tokenizer.pieces();
  if (base.rows < tokens) {
    fail(ErrorKind::data,
         "{}: {} has {} tokens, but the configuration's vocab_size is {}: they don't belong "
         "together",
         base.name, base.tokenizer.path().string(), base.tokenizer.size(), base.rows);
  }
  base.new_gist_ids = new_ids(base, words);
  if (adapter) {
    base.adapter = adapter;
    base.adapter->gist_ids = base.gist_ids;
    base.new_gist_ids = with_known_ids(base.new_gist_ids, base.gist_ids.first, known);
    return;
  }
  *found = std::max<std::int64_t>(base.rows, base.gist_ids.end());
}

std::string gist_ids_in_words(const BaseModel& base, const std::vector<std::string>& words) {
  const std::int32_t known = known_ids(base), count = base.gist_ids.count;
  const bool as_always = count == 1 && words.empty();
  if (!base.checkpoint || !base.gist_ids.any() || known == count || as_always) return "";
  std::string kept, start = "another part of the tokenizer's rows";
  if (known > 0) {
    kept = fmt::format("{} {} kept; ", range_of_ids(0, known), known > 1 ? "are" : "is");
    start = Tokenizer::gist_token_text(known - 1);
  }
  if (!words.empty()) start = fmt::format("{}", fmt::join(words, ", "));
  const bool one = known + 1 == count;
  return fmt::format("{}{} ({} {}) {} new, {} from {}", kept, range_of_ids(known, count),
                     one ? "id" : "ids from", base.gist_ids.first + known, one ? "is" : "are",
                     one ? "starting" : "each starting", start);
}

std::vector<Parameter> trained_parameters(const BaseModel& base, const ModelSpec& spec) {
  return base.adapter ? adapter_parameters(spec, *base.adapter) : model_parameters(spec);
}

Model trained_model(std::unique_ptr<Family> family, const BaseModel& base,
                    const Parameters& parameters) {
  if (!base.adapter) return {std::move(family), parameters};
  Model model(std::move(family), parameters.backend(), base.checkpoint->source(),
              FrozenFor::training);
  model.attach(std::make_unique<Adapter>(model.spec(), *base.adapter, parameters));
  return model;
}

void fill(Parameters& parameters, const BaseModel& base, const ModelSpec& spec,
          std::uint64_t seed) {
  if (base.adapter) {
    fill_adapter(parameters, base, spec, seed);
    return;
  }
  if (!base.checkpoint) {
    initialise(parameters, seed);
    return;
  }
  const WeightSource source = under_declared_names(base.checkpoint->source(), spec);
  const bool added = !base.new_gist_ids.mean_of.empty();
  load(parameters, added ? with_new_tokens(source, spec, base.new_gist_ids, base.rows) : source);
}

std::string fingerprint_of(const BaseModel& base) {
  const std::string weights = base.checkpoint ? model_sha256(*base.checkpoint) : "";
  return to_hex(sha256(weights + base.config.dump() + base.tokenizer.sha256()));
}

}  // namespace gist

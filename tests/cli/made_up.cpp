#include "made_up.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <random>
#include <vector>

namespace gist {
namespace {

using Words = std::vector<std::string>;

constexpr std::array<const char*, 20> vocabulary{
    "apple", "axe",   "brown", "camel", "cat", "green", "grey",  "indigo", "lake",  "lemon",
    "moon",  "otter", "pine",  "plum",  "red", "river", "stone", "swan",   "white", "wolf"};

std::string joined(const Words& words, const char* between) {
  return fmt::format("{}", fmt::join(words, between));
}

/// Draws that are the same everywhere: the standard's distributions are not.
class Draw {
 public:
  explicit Draw(std::uint32_t seed) : engine_(seed) {}
  double uniform() { return static_cast<double>(engine_()) / 4294967296.0; }
  std::size_t below(std::size_t n) { return engine_() % n; }
  double normal() {
    return std::sqrt(-2 * std::log(1 - uniform())) * std::cos(6.283185307179586 * uniform());
  }

 private:
  std::mt19937 engine_;
};

Words drawn_words(Draw& draw) {
  Words words;
  const std::size_t count = 3 + draw.below(4);
  for (std::size_t i = 0; i < count; ++i)
    words.emplace_back(vocabulary[draw.below(vocabulary.size())]);
  return words;
}

EvaluationRecord word_task(Draw& draw, std::size_t ordinal, std::size_t groups) {
  Words words = drawn_words(draw);
  EvaluationRecord record;
  record.input = joined(words, ", ");
  record.ordinal = ordinal;
  record.group = groups == 0 ? 0 : draw.below(groups);
  switch (draw.below(3)) {
    case 0:
      record.instruction = "Leave out the first word, and give the others as they stand.";
      words.erase(words.begin());
      break;
    case 1:
      record.instruction = "Rotate the list by one word to the left.";
      std::rotate(words.begin(), words.begin() + 1, words.end());
      break;
    default:
      record.instruction = "Sort the words in the order of the alphabet.";
      std::sort(words.begin(), words.end());
  }
  record.reference_answer = joined(words, " ");
  return record;
}

/// An answer with each word right with this probability.
Words answered(const std::string& reference, double right, Draw& draw) {
  Words words;
  for (std::size_t begin = 0; begin < reference.size();) {
    const std::size_t end = std::min(reference.find(' ', begin), reference.size());
    const std::string word = reference.substr(begin, end - begin);
    if (draw.uniform() < right) {
      words.push_back(word);
    } else if (draw.uniform() < 0.6) {
      words.emplace_back(vocabulary[draw.below(vocabulary.size())]);
    }
    begin = end + 1;
  }
  return words;
}

/// About what the scorers give: near enough for a page.
void score(RecordResult& result, const std::string& reference, double right) {
  result.scores.exact = result.completion == reference;
  const double f = result.scores.exact ? 1 : 0.9 * right;
  result.scores.f1 = f;
  for (RougeScore* each : {&result.scores.rouge.rouge1, &result.scores.rouge.rouge2,
                           &result.scores.rouge.rougeL, &result.scores.rouge.rougeLsum}) {
    *each = {f, f * 0.98, f * 0.99};
  }
  result.scores.words = static_cast<std::uint64_t>(
      std::count(result.completion.begin(), result.completion.end(), ' ') + 1);
  result.scores.copied = {0, 0, 2, right > 0.7 ? 2U : 1U};
}

struct System {
  SystemDescription description;
  double right;  // share of words
};

RecordResult answer_of(const System& system, const EvaluationRecord& record, bool fidelity,
                       Draw& draw) {
  constexpr std::int64_t token_bytes = 4096;
  RecordResult result;
  const double right = std::clamp(
      system.right - 0.02 * static_cast<double>(record.group) + 0.05 * draw.normal(), 0.0, 1.0);
  const Words words = answered(record.reference_answer, right, draw);
  result.completion = joined(words, " ");
  score(result, record.reference_answer, right);
  const auto prompt = static_cast<std::int64_t>(8 + record.instruction.size() / 3 +
                                                std::size_t(20 * draw.uniform()));
  const auto input = static_cast<std::int64_t>(4 + record.input.size() / 3);
  const std::int64_t kept =
      system.description.condition == Condition::neg ? 0
      : system.description.condition == Condition::pos && system.description.baseline.empty()
          ? prompt
          : system.description.gist_tokens;
  result.prompt_tokens = kept == prompt ? prompt + input : kept + input;
  result.kept_tokens = kept;
  result.kept_bytes = kept * token_bytes;
  result.completion_tokens = static_cast<std::int64_t>(2 * words.size() + 1);
  result.loss = {(1.15 - right) * 9 * std::exp(0.3 * draw.normal()), 9,
                 static_cast<std::int32_t>(9 * right)};
  if (fidelity && system.description.name != "pos") {
    result.fidelity = {9 * std::exp(-6 * right - 1 + 1.2 * draw.normal()), 9,
                       static_cast<std::int32_t>(9 * right)};
  }
  return result;
}

SystemDescription described(const std::string& name, Condition condition, std::int64_t k,
                            const std::string& baseline = "") {
  SystemDescription system;
  system.name = name;
  system.model = "models/wordtasks-llama-" + std::string(name_of(condition));
  system.condition = condition;
  system.gist_tokens = k;
  system.baseline = baseline;
  return system;
}

std::vector<System> systems_of(bool several_k) {
  std::vector<System> systems{{described("pos", Condition::pos, 1), 0.97}};
  for (const std::int64_t k :
       several_k ? std::vector<std::int64_t>{1, 2, 4, 10} : std::vector<std::int64_t>{1}) {
    const std::string name = several_k ? fmt::format("gist, k = {}", k) : "gist";
    systems.push_back(
        {described(name, Condition::gist, k), 0.93 + 0.012 * std::log2(static_cast<double>(k))});
  }
  for (const std::int64_t k :
       several_k ? std::vector<std::int64_t>{4, 10} : std::vector<std::int64_t>{1}) {
    systems.push_back(
        {described(fmt::format("cut to {} tokens", k), Condition::pos, k, "truncated"),
         0.5 + 0.03 * static_cast<double>(k)});
  }
  systems.push_back({described("neg", Condition::neg, 1), 0.35});
  return systems;
}

}  // namespace

Evaluation made_up_evaluation(const MadeUpOptions& options) {
  Draw draw(7);
  Evaluation evaluation;
  evaluation.data = "wordtasks_unseen.jsonl.gz";
  constexpr std::array<const char*, 3> names{"seen", "unseen", "human"};
  for (std::size_t i = 0; i < options.groups; ++i) {
    evaluation.groups.emplace_back(i < names.size() ? names[i] : fmt::format("task {}", i + 1));
  }
  if (options.groups > 0) evaluation.group_by = "split";
  for (std::size_t i = 0; i < options.records; ++i) {
    evaluation.records.push_back(word_task(draw, i, options.groups));
  }
  for (const System& system : systems_of(options.several_k)) {
    SystemResults results{system.description, {}, 0, 0};
    for (const EvaluationRecord& record : evaluation.records) {
      results.records.push_back(answer_of(system, record, options.fidelity, draw));
    }
    results.loss_seconds = 0.004 * static_cast<double>(options.records);
    results.generation_seconds =
        (0.02 + 0.01 * draw.uniform()) * static_cast<double>(options.records);
    evaluation.systems.push_back(std::move(results));
  }
  return evaluation;
}

Evaluation hostile_evaluation() {
  const std::vector<std::string> texts{
      "</script><script>document.title = 'owned'</script>",
      "<img src=x onerror=\"document.title = 'owned'\">",
      "\" onmouseover=\"document.title = 'owned'\" x=\"",
      "' autofocus onfocus='document.title = 1' '",
      "</style><style>body { display: none }</style>",
      "--><!-- <!--<script>",
      "]]></svg><svg onload=\"document.title = 'owned'\">",
      "&lt;b&gt; &#60;script&#62; &amp;amp;",
      "{{constructor.constructor('document.title = 1')()}} ${document.title = 1}",
      "bytes \xff\xfe\xc0\xaf\xed\xa0\x80 that are not UTF-8, and cut \xe2\x82",
      std::string("nul \0 bell \a escape \x1b[31m delete \x7f return \r\n", 43),
      "right to left \u202Eevil\u202C and \u2066isolated\u2069, zero\u200Bwidth, \uFEFFmark",
      "العربية والعبرية: שלום 123",
      "https://example.invalid/x.png <link rel=stylesheet href=//example.invalid/a.css>",
      std::string(3000, 'x'),
      "",
      "many\n\nlines\tand tabs\n    indented",
      "👩‍👩‍👧 emoji, é accents, 漢字",
  };
  Evaluation evaluation;
  evaluation.data = "<b>data</b>\u202E.jsonl";
  evaluation.group_by = "\"><script>document.title = 'owned'</script>";
  evaluation.groups = {texts[0], texts[2], "\xff plain"};
  SystemResults results{
      {"<i>system</i> \" ' & \u202E" + std::string(60, 'n'), "", Condition::gist, 0, "", ""},
      {},
      0,
      0};
  for (std::size_t i = 0; i < texts.size(); ++i) {
    evaluation.records.push_back({texts[(i + 1) % texts.size()], texts[(i + 2) % texts.size()],
                                  texts[(i + i % 2) % texts.size()], i % 3, i});
    RecordResult result;
    result.completion = texts[i];
    result.scores.exact = i % 2 == 0;
    result.scores.rouge.rougeL.f = i % 2 == 0 ? 1 : 0.25;
    results.records.push_back(result);
  }
  evaluation.systems = {results};
  return evaluation;
}

CostReport made_up_cost() {
  CostReport report{"models/wordtasks-llama-gist", 400, 16, 10, {}};
  for (const Caching caching : {Caching::none, Caching::instruction, Caching::gist}) {
    CachingCost way;
    way.caching = caching;
    way.records = 400;
    way.read_tokens = caching == Caching::none ? 45.625 : 12.5;
    const auto read = static_cast<std::int64_t>(way.read_tokens * 400);
    way.flops.reading["linear"] = {read * 13'000'000'000, read * 13'000'000'000};
    way.flops.reading["attention"] = {read * 40'000'000, read * 90'000'000};
    way.flops.decoding["linear"] = {400 * 9 * 13'000'000'000, 400 * 9 * 13'000'000'000};
    way.flops.decode_steps = 400 * 9;
    way.times.rows = {{0, way.read_tokens * 1e-4, 0.09, 9}, {0, way.read_tokens * 1.1e-4, 0.1, 9}};
    way.times.peak_bytes = 7'000'000;
    if (caching != Caching::none) {
      const std::int64_t stored = caching == Caching::gist ? 1 : 34;
      way.storing["linear"] = {400 * 34 * 13'000'000'000, 400 * 34 * 13'000'000'000};
      way.storing_seconds = 0.0045;
      way.storage.prompt_bytes = 4096.0 * static_cast<double>(stored);
      way.storage.prompts_per_gib = 262144.0 / static_cast<double>(stored);
      if (caching == Caching::gist) way.storage.compression_factor = 33.125;
    }
    report.ways.push_back(way);
  }
  return report;
}

Provenance made_up_provenance() {
  Provenance provenance;
  provenance.version = "gist 0.1.0";
  provenance.command =
      "gist evaluate \\\n  --model models/wordtasks-llama-pos \\\n  --model "
      "models/wordtasks-llama-gist "
      "--data 'word tasks, unseen.jsonl.gz' --group-by split --report out.html";
  provenance.created = "2023-04-17 12:30 UTC";
  provenance.machine = "Processor of a kind, 2 threads, 15.6 GiB of memory, Linux 6.1 (x86_64)";
  provenance.files = {{"models/wordtasks-llama-pos", "sha256 " + std::string(64, 'a')},
                      {"models/wordtasks-llama-gist", "sha256 " + std::string(64, '5')}};
  provenance.settings = {{"seed", "0"}, {"resamples", "1000"}};
  return provenance;
}

std::string samples_line(std::int64_t step, const std::vector<EvaluationRecord>& records,
                         const std::vector<std::string>& completions) {
  nlohmann::ordered_json samples = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < records.size(); ++i) {
    samples.push_back({{"ordinal", records[i].ordinal},
                       {"instruction", records[i].instruction},
                       {"input", records[i].input},
                       {"reference", records[i].reference_answer},
                       {"completion", completions[i]},
                       {"finish_reason", i % 3 == 2 ? "length" : "eos"},
                       {"completion_tokens", 9}});
  }
  const nlohmann::ordered_json line{{"step", step}, {"samples", samples}, {"seconds", 0.5}};
  return line.dump() + "\n";
}

std::string made_up_metrics(std::size_t steps, std::size_t evaluations) {
  Draw draw(3), answers(5);
  std::vector<EvaluationRecord> samples;
  for (std::size_t i = 0; i < 3; ++i) samples.push_back(word_task(answers, i, 0));
  std::string lines;
  const auto loss_at = [&](double step) {
    return 0.15 + 4 * std::exp(-8 * step / static_cast<double>(steps));
  };
  for (std::size_t step = 1; step <= steps; ++step) {
    const auto at = static_cast<double>(step);
    const double warm_up = std::min(1.0, at / (0.1 * static_cast<double>(steps)));
    lines += fmt::format(
        "{{\"step\":{},\"loss\":{},\"lr\":{},\"grad_norm\":{},\"tokens\":{},\"labels\":{},"
        "\"seconds\":{}}}\n",
        step, loss_at(at) * std::exp(0.12 * draw.normal()),
        1e-3 * warm_up * (1 - at / static_cast<double>(steps + 1)),
        std::exp(0.5 * draw.normal()) * (0.6 + 3 / (1 + 0.02 * at)), 3000 + draw.below(400),
        600 + draw.below(80), 0.08 * (1 + 0.1 * std::abs(draw.normal())));
    if (evaluations > 0 && step % std::max<std::size_t>(steps / evaluations, 1) == 0) {
      lines += fmt::format("{{\"step\":{},\"eval_loss\":{},\"seconds\":1.5}}\n", step,
                           loss_at(at) + 0.05 + 0.01 * draw.normal());
      std::vector<std::string> completions;
      for (const EvaluationRecord& sample : samples) {
        const double right = std::min(1.0, 0.3 + 0.8 * at / static_cast<double>(steps));
        completions.push_back(joined(answered(sample.reference_answer, right, answers), " "));
      }
      lines += samples_line(static_cast<std::int64_t>(step), samples, completions);
    }
  }
  return lines;
}

}  // namespace gist

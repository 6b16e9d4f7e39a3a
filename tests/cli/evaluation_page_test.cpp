#include "cli/report/evaluation_page.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "cli/evaluation_report.h"
#include "cli/report/page.h"
#include "cli/report/training_page.h"
#include "formats/files/file_io.h"
#include "formats/files/text.h"
#include "kernels/error.h"
#include "made_up.h"

namespace gist {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string page_of(const Evaluation& evaluation) {
  return evaluation_page(evaluation, summarise(evaluation, {0.95, 50, 0}), std::nullopt,
                         made_up_provenance());
}

/// The element with this id, up to the end of its kind.
std::string table(const std::string& page, const std::string& id) {
  const std::size_t begin = page.find("<table id=\"" + id + "\"");
  EXPECT_NE(begin, std::string::npos) << id;
  return page.substr(begin, page.find("</table>", begin) - begin);
}

std::vector<double> numbers(const std::string& html) {
  constexpr std::string_view data = "<data value=\"";
  std::vector<double> all;
  for (std::size_t at = html.find(data); at != std::string::npos; at = html.find(data, at + 1)) {
    all.push_back(std::stod(html.substr(at + data.size(), 40)));
  }
  return all;
}

/// Returns the tags of a page, each from its < to its >.
std::vector<std::string> tags(const std::string& html) {
  std::vector<std::string> all;
  for (std::size_t at = html.find('<'); at != std::string::npos; at = html.find('<', at + 1)) {
    all.push_back(html.substr(at, html.find('>', at) - at + 1));
  }
  return all;
}

void append(std::vector<double>& all, const nlohmann::json& scores, const std::string& metric,
            bool difference) {
  if (!scores.contains(metric)) return;
  all.push_back(scores[metric]);
  for (const auto& end : scores["intervals"][metric]) all.push_back(end);
  if (!difference || !scores.contains("differences")) return;
  const nlohmann::json& differences = scores["differences"];
  if (!differences.contains(metric)) return;
  for (const char* part : {"value", "low", "high"}) all.push_back(differences[metric][part]);
}

TEST(EvaluationPage, NumbersAreThoseOfTheJson) {
  const Evaluation evaluation = made_up_evaluation({80, 3, true, true});
  const EvaluationSummary summary = summarise(evaluation, {0.9, 50, 0});
  const std::optional<CostReport> cost = made_up_cost();
  const std::string page = evaluation_page(evaluation, summary, cost, made_up_provenance());
  const auto json = nlohmann::json::parse(json_report(evaluation, summary, cost));
  std::vector<double> metrics, systems, costs, groups;
  for (const Metric& metric : evaluation_metrics()) {
    for (const auto& system : json["systems"]) append(metrics, system["all"], metric.key, true);
  }
  for (const auto& system : json["systems"]) {
    const auto& all = system["all"];
    systems.push_back(system["gist_tokens"]);
    for (const Metric& metric : evaluation_metrics()) {
      if (metric.headline) append(systems, all, metric.key, false);
    }
    for (auto* each : {&systems, &costs}) {
      each->push_back(all["prompt_tokens"]);
      each->push_back(all["prompt_bytes"]);
    }
    costs.push_back(all["generation_seconds"]);
    costs.push_back(all["loss_seconds"]);
  }
  for (std::size_t group = 0; group < evaluation.groups.size(); ++group) {
    for (const auto& system : json["systems"]) {
      const auto& scores = system["groups"][group];
      groups.push_back(scores["records"]);
      for (const Metric& metric : evaluation_metrics()) {
        if (metric.headline) append(groups, scores, metric.key, false);
      }
    }
  }
  std::vector<double> ways;
  for (const char* path :
       {"/tokens_read", "/reading_flops/visible", "/reading_flops/dense", "/decoding_flops",
        "/prefill_seconds", "/first_token_seconds", "/decode_tokens_per_second", "/peak_bytes",
        "/prompt_bytes", "/prompts_per_gib", "/compression_factor", "/storing_flops/visible",
        "/storing_seconds", "/uses_until_paid/by_flops", "/uses_until_paid/by_time"}) {
    for (const auto& way : json["cost"]["ways"]) {
      const auto& value = way.at(nlohmann::json::json_pointer(path));
      if (!value.is_null()) ways.push_back(value);
    }
  }
  EXPECT_EQ(numbers(table(page, "caching-table")), ways);
  EXPECT_EQ(numbers(table(page, "metrics-table")), metrics);
  EXPECT_EQ(numbers(table(page, "systems-table")), systems);
  EXPECT_EQ(numbers(table(page, "costs-table")), costs);
  EXPECT_EQ(numbers(table(page, "groups-table")), groups);
}

TEST(EvaluationPage, ChartsAreThoseThatThereAreNumbersFor) {
  const std::string all = page_of(made_up_evaluation({80, 3, true, true}));
  const std::string few = page_of(made_up_evaluation({12, 0, false, false}));
  for (const char* id : {"quality-exact_match", "quality-loss", "cost-0", "cost-1",
                         "compression-length", "compression-price"}) {
    EXPECT_THAT(all, HasSubstr("<figure id=\"" + std::string(id) + "\""));
    EXPECT_THAT(few, HasSubstr("<figure id=\"" + std::string(id) + "\""));
  }
  for (const char* id :
       {"groups-exact_match", "gist-tokens-exact_match", "fidelity-divergence-0"}) {
    EXPECT_THAT(all, HasSubstr("<figure id=\"" + std::string(id) + "\""));
    EXPECT_THAT(few, Not(HasSubstr("<figure id=\"" + std::string(id) + "\"")));
  }
}

TEST(EvaluationPage, SizeIsBounded) {
  const std::string page = page_of(made_up_evaluation({3000, 400, true, true}));
  EXPECT_LT(page.size(), std::size_t{3} << 20);
  EXPECT_THAT(page, HasSubstr("Of 400 groups these are the 200 with most records."));
  EXPECT_THAT(page, HasSubstr("of 3000 records"));
}

TEST(EvaluationPage, TextsCantBreakIt) {
  const std::string page = page_of(hostile_evaluation());
  EXPECT_TRUE(valid_utf8(page));
  for (const std::string& tag : tags(page)) {
    for (const char* other :
         {" onerror=", " onload=", " onmouseover=", " onfocus=", " autofocus"}) {
      EXPECT_THAT(tag, Not(HasSubstr(other)));
    }
    for (const char* other : {"<img", "<b>", "<i>", "<link rel=stylesheet"}) {
      EXPECT_FALSE(tag.starts_with(other)) << tag;
    }
  }
  const auto count = [&](const std::string& text) {
    std::size_t found = 0;
    for (std::size_t at = page.find(text); at != std::string::npos; at = page.find(text, at + 1)) {
      ++found;
    }
    return found;
  };
  EXPECT_EQ(count("<script"), 1U);
  EXPECT_EQ(count("</script"), 1U);
  EXPECT_EQ(count("<style"), 1U);
  for (const char* hidden : {"\u202E", "\u2066", "\u200B", "\x1b", "\a"}) {
    EXPECT_THAT(page, Not(HasSubstr(hidden)));
  }
}

TEST(EvaluationPage, SamplesOfOneSystemAreTheLowest) {
  Evaluation evaluation = made_up_evaluation({300, 0, false, false});
  evaluation.systems.resize(1);
  RecordResult& worst = evaluation.systems[0].records[217];
  worst.completion = "certainly wrong";
  worst.scores.exact = false;
  worst.scores.rouge.rougeL.f = 0;
  const std::string page = page_of(evaluation);
  EXPECT_THAT(page, HasSubstr("80 of 300 records: of them the first 40, and the 40 others"));
  EXPECT_THAT(page, HasSubstr("<h3>Record 218</h3>"));
  EXPECT_THAT(page, HasSubstr("certainly wrong"));
}

TEST(TrainingPage, SaysHowFarTheRunIs) {
  const TrainingMetrics metrics = parse_training_metrics(made_up_metrics(500, 5));
  const std::string page =
      training_page(metrics, {"out", 500, 2000, "stopped by a signal", 1}, made_up_provenance());
  EXPECT_THAT(page, HasSubstr("Step <data value=\"500\">500</data> of <data "
                              "value=\"2000\">2,000</data></strong>, stopped by a signal."));
  for (const char* id : {"loss", "learning-rate", "gradient-norm", "throughput"}) {
    EXPECT_THAT(page, HasSubstr("<figure id=\"" + std::string(id) + "\""));
  }
  EXPECT_THAT(page, HasSubstr("held out"));
}

/// The page of a run of one step a line of held-out losses, with these lines of samples.
std::string page_with_samples(const std::string& samples, const std::vector<double>& losses) {
  std::string lines = made_up_metrics(5, 0);
  for (std::size_t i = 0; i < losses.size(); ++i) {
    lines += fmt::format("{{\"step\":{},\"eval_loss\":{}}}\n", i + 1, losses[i]);
  }
  return training_page(parse_training_metrics(lines + samples), {"out", 5, 5, "finished", 1},
                       made_up_provenance());
}

TEST(TrainingPage, SamplesHaveTheirAnswersSideBySide) {
  const EvaluationRecord sorted{"Sort them.", "d, b", "b d", 0, 0}, other{"", "x", "y", 0, 6};
  const std::string page = page_with_samples(samples_line(1, {sorted, other}, {"d b", ""}) +
                                                 samples_line(2, {sorted, other}, {"b d", "y"}),
                                             {2, 1.5});
  EXPECT_THAT(page, HasSubstr("<section id=\"samples\""));
  EXPECT_THAT(page, HasSubstr("<h3>Record 1</h3>\n<dl class=\"prompt\"><dt>Instruction</dt><dd "
                              "dir=\"auto\">Sort them.</dd><dt>Input</dt><dd "
                              "dir=\"auto\">d, b</dd></dl>"));
  EXPECT_THAT(page,
              HasSubstr("<span class=\"name\">Reference</span></dt><dd dir=\"auto\">b d</dd>"));
  EXPECT_THAT(page, HasSubstr("<span class=\"name\">After step 1</span><span>ROUGE-L 50.0</span>"
                              "</dt><dd dir=\"auto\"><del>b</del> d <ins>b</ins></dd>"));
  EXPECT_THAT(page, HasSubstr("<span class=\"name\">After step 2, lowest loss</span><span>exact"
                              "</span></dt><dd dir=\"auto\">b d</dd>"));
  EXPECT_THAT(page, HasSubstr("<h3>Record 7</h3>\n<dl class=\"prompt\"><dt>Input</dt>"));
  EXPECT_THAT(page, Not(HasSubstr("cut after")));
  const std::string cut =
      page_with_samples(samples_line(1, {sorted, other, sorted}, {"", "", "b"}), {2});
  EXPECT_THAT(cut, HasSubstr(", cut after 9 tokens"));
  EXPECT_THAT(page_with_samples("", {2}), Not(HasSubstr("id=\"samples\"")));
}

TEST(TrainingPage, OfManyEvaluationsSamplesShowSome) {
  std::string samples;
  std::vector<double> losses;
  for (int i = 1; i <= 300; ++i) {
    samples += samples_line(i, {{"a", "b", "c", 0, 0}}, {"d"});
    losses.push_back(i == 77 ? 0.5 : 1);
  }
  const std::string page = page_with_samples(samples, losses);
  const auto has = [&](const std::string& step) {
    return page.find(">After step " + step + "</span>") != std::string::npos;
  };
  EXPECT_TRUE(has("1"));
  EXPECT_TRUE(has("77, lowest loss"));
  EXPECT_TRUE(has("300"));
  int shown = 1;
  for (int i = 1; i <= 300; ++i) shown += has(std::to_string(i)) ? 1 : 0;
  EXPECT_EQ(shown, 11);
  EXPECT_THAT(page, HasSubstr("Of 300 evaluations, 11 at most."));
}

TEST(TrainingPage, SamplesCantBreakIt) {
  const Evaluation hostile = hostile_evaluation();
  std::string samples;
  for (std::size_t i = 0; i < hostile.records.size(); ++i) {
    EvaluationRecord record = hostile.records[i];
    for (std::string* text : {&record.instruction, &record.input, &record.reference_answer}) {
      if (!valid_utf8(*text)) *text = "";  // the log is JSON, which can't hold it
    }
    const std::string& completion = hostile.systems[0].records[i].completion;
    samples += samples_line(1, {record}, {valid_utf8(completion) ? completion : ""});
  }
  const std::string page = page_with_samples(samples, {1});
  for (const std::string& tag : tags(page)) {
    for (const char* other : {" onerror=", " onload=", " onmouseover=", " onfocus="}) {
      EXPECT_THAT(tag, Not(HasSubstr(other)));
    }
    for (const char* other : {"<img", "<b>", "<i>", "<link rel=stylesheet"}) {
      EXPECT_FALSE(tag.starts_with(other)) << tag;
    }
  }
  EXPECT_THAT(page, HasSubstr("&lt;img src=x"));
  EXPECT_THAT(page, HasSubstr("⟨U+202E⟩"));
  for (const char* hidden : {"\u202E", "\u2066", "\u200B", "\x1b", "\a"}) {
    EXPECT_THAT(page, Not(HasSubstr(hidden)));
  }
}

TEST(TrainingPage, AMillionStepsMakeASmallPage) {
  TrainingMetrics metrics;
  for (std::int64_t i = 1; i <= 1'000'000; ++i) {
    metrics.steps.push_back({i, 1.0 / static_cast<double>(i), 1e-3, 1, 1000, 100, 0.5});
  }
  const std::string page =
      training_page(metrics, {"out", 1'000'000, 1'000'000, "finished", 0}, made_up_provenance());
  EXPECT_LT(page.size(), 250'000U);
}

TEST(Page, ReplacesReportsAndNothingElse) {
  const std::filesystem::path directory =
      std::filesystem::path(testing::TempDir()) / "gist-page-test";
  std::filesystem::create_directories(directory);
  const auto path = directory / "report.html";
  std::filesystem::remove(path);
  const std::string page = page_html({"a", {}, {}}, "gist 0.1.0");
  write_page(path, page);
  write_page(path, page_html({"b", {}, {}}, "gist 0.2.0"));
  EXPECT_THAT(read_file(path), HasSubstr("<h1>b</h1>"));
  write_file_atomically(path, "<!doctype html>\n<p>mine</p>");
  for (const auto& taken : {path, directory, directory / "none" / "report.html"}) {
    try {
      write_page(taken, page);
      ADD_FAILURE() << taken;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::cannot_create) << error.what();
      EXPECT_THAT(error.what(), HasSubstr(taken.string()));
    }
  }
  EXPECT_EQ(read_file(path), "<!doctype html>\n<p>mine</p>");
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace gist

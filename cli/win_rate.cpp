#include "cli/win_rate.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <utility>

#include "cli/rejects.h"
#include "core/quality/wilson_interval.h"
#include "core/random.h"
#include "formats/files/file_io.h"
#include "formats/files/json_text.h"
#include "formats/files/text.h"
#include "formats/records/record_reader.h"
#include "kernels/error.h"

namespace gist {
namespace {

using Json = nlohmann::ordered_json;

std::string key_path(const std::string& path) {
  return path + ".key";
}

std::string line_of(const Json& json) {
  return text_of_json(json) + "\n";
}

/// Runs `action` on each record of a file.
template <typename Action>
void for_each_record(const std::string& path, Action action) {
  const FieldMap names;  // records are gist's own
  RecordReader records(path, names);
  Rejects rejects;
  while (std::optional<Record> record = records.next()) {
    use_record(records, *record, rejects.sink(),
               [&](const Record& each) { action(each, records.name()); });
  }
}

std::uint64_t pair_of(const Record& record, const std::string& where) {
  const auto found = record.fields.find("pair");
  if (found != record.fields.end() && found->is_number_unsigned()) {
    return found->get<std::uint64_t>();
  }
  fail(ErrorKind::data, "{}:{}: field \"pair\": expected the pair's number", where, record.line);
}

struct KeyEntry {
  std::size_t system = 0;  // index into the win rates
  bool system_is_a = false;
  bool judged = false;
};

/// What the judge said of a system, a value a verdict.
using Outcomes = std::vector<double>;  // 1: it won, 0.5: a tie, 0: it lost

}  // namespace

std::vector<OptionSpec> win_rate_options() {
  return {{"win-rate", OptionKind::text, "FILE", "",
           "also write blinded pairs of completions for a judge, and FILE.key"},
          {"verdicts", OptionKind::text, "FILE", "",
           "in place of --data: score a judge's {\"pair\", \"verdict\": \"a\", \"b\" or \"tie\"}; "
           "needs --key"},
          {"key", OptionKind::text, "FILE", "", "the key that --win-rate wrote"},
          {"partial", OptionKind::flag, "", "", "pairs without a verdict are left out"}};
}

void write_pairs(const Evaluation& evaluation, const std::string& path, std::uint64_t seed) {
  std::vector<std::pair<std::size_t, std::size_t>> pairs;  // system, record
  for (std::size_t i = 0; i < evaluation.systems.size(); ++i) {
    if (i == evaluation.reference) continue;
    for (std::size_t j = 0; j < evaluation.records.size(); ++j) pairs.emplace_back(i, j);
  }
  const SystemResults& reference = evaluation.systems[evaluation.reference];
  AtomicFile questions(path, Existing::refuse), key(key_path(path), Existing::refuse);
  std::uint64_t pair = 0;
  for (const std::uint32_t at : shuffled(seed, 0, static_cast<std::uint32_t>(pairs.size()))) {
    const auto [i, j] = pairs[at];
    const SystemResults& system = evaluation.systems[i];
    const EvaluationRecord& record = evaluation.records[j];
    const bool system_is_a = uniform_draw(seed, pair, 0) < 0.5F;
    const std::string &own = system.records[j].completion, &other = reference.records[j].completion;
    questions.write(line_of({{"pair", pair},
                             {"instruction", record.instruction},
                             {"input", record.input},
                             {"a", system_is_a ? own : other},
                             {"b", system_is_a ? other : own}}));
    key.write(line_of({{"pair", pair},
                       {"system", system.system.name},
                       {"reference", reference.system.name},
                       {"system_is", system_is_a ? "a" : "b"}}));
    ++pair;
  }
  key.commit();  // first: pairs without their key are worth nothing
  questions.commit();
}

std::vector<WinRate> win_rates(const std::string& verdicts, const std::string& key, bool partial,
                               const BootstrapOptions& bootstrap) {
  std::vector<WinRate> rates;
  std::map<std::pair<std::string, std::string>, std::size_t> known;
  std::unordered_map<std::uint64_t, KeyEntry> entries;
  for_each_record(key, [&](const Record& record, const std::string& where) {
    const std::string &system = record.string("system"), &reference = record.string("reference");
    const auto [found, is_new] = known.emplace(std::pair(system, reference), rates.size());
    if (is_new) rates.push_back({system, reference, 0, 0, 0, {}});
    const KeyEntry entry{found->second, record.string("system_is") == "a", false};
    if (!entries.emplace(pair_of(record, where), entry).second) {
      fail(ErrorKind::data, "{}:{}: the pair stands here twice", where, record.line);
    }
  });
  std::vector<Outcomes> outcomes(rates.size());
  for_each_record(verdicts, [&](const Record& record, const std::string& where) {
    const auto found = entries.find(pair_of(record, where));
    if (found == entries.end()) {
      fail(ErrorKind::data, "{}:{}: the pair does not stand in {}", where, record.line, key);
    }
    KeyEntry& entry = found->second;
    if (std::exchange(entry.judged, true)) {
      fail(ErrorKind::data, "{}:{}: the pair has a verdict already", where, record.line);
    }
    const std::string& verdict = record.string("verdict");
    WinRate& rate = rates[entry.system];
    if (verdict == "tie") {
      ++rate.ties;
      outcomes[entry.system].push_back(0.5);
    } else if (verdict == "a" || verdict == "b") {
      const bool won = (verdict == "a") == entry.system_is_a;
      ++(won ? rate.wins : rate.losses);
      outcomes[entry.system].push_back(won ? 1 : 0);
    } else {
      fail(ErrorKind::data, "{}:{}: field \"verdict\": expected a, b or tie, found {}", where,
           record.line, in_quotes(verdict));
    }
  });
  const auto open = std::count_if(entries.begin(), entries.end(),
                                  [](const auto& entry) { return !entry.second.judged; });
  if (open > 0 && !partial) {
    fail(ErrorKind::data, "{}: {} of {} pairs lack a verdict: --partial leaves them out", verdicts,
         open, entries.size());
  }
  for (std::size_t i = 0; i < rates.size(); ++i) {
    if (outcomes[i].empty()) continue;
    ConfidenceInterval& rate = rates[i].rate;
    rate = bootstrap_mean(outcomes[i], bootstrap);
    const ShareInterval share =
        wilson_interval(rate.value, outcomes[i].size(), bootstrap.confidence);
    rate.low = share.low;
    rate.high = share.high;
  }
  std::erase_if(rates,
                [](const WinRate& rate) { return rate.wins + rate.ties + rate.losses == 0; });
  return rates;
}

std::string win_rate_table(const std::vector<WinRate>& rates) {
  std::string text;
  for (const WinRate& each : rates) {
    text += fmt::format("{} against {}\n", each.system, each.reference);
    text += fmt::format("  wins {}, ties {}, losses {}: win rate {:.1f} % ({:.1f} to {:.1f})\n",
                        each.wins, each.ties, each.losses, 100 * each.rate.value,
                        100 * each.rate.low, 100 * each.rate.high);
  }
  return text;
}

std::string win_rate_json(const std::vector<WinRate>& rates) {
  Json list = Json::array();
  for (const WinRate& each : rates) {
    list.push_back({{"system", each.system},
                    {"reference", each.reference},
                    {"wins", each.wins},
                    {"ties", each.ties},
                    {"losses", each.losses},
                    {"win_rate", each.rate.value},
                    {"interval", {each.rate.low, each.rate.high}}});
  }
  return line_of({{"win_rates", std::move(list)}});
}

}  // namespace gist

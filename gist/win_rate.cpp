#include "gist/win_rate.h"

#include <algorithm>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>

#include "core/quality/wilson_interval.h"
#include "core/random.h"
#include "formats/files/text.h"
#include "formats/records/record_source.h"
#include "kernels/error.h"

namespace gist {
namespace {

/// Runs `action` on each record of a file.
template <typename Action>
void for_each_record(const std::string& path, Action action) {
  const FieldMap names;  // records are gist's own
  RecordReader reader(path, names);
  const RecordSource records = source_of(reader);
  const RejectRecord reject = [](const Record&, const Error& error) { throw error; };
  while (std::optional<Record> record = records.next()) {
    use_record(records, *record, reject, [&](const Record& each) { action(each, records.name); });
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

/// Outcomes are what the judge said of a system, a value a verdict.
using Outcomes = std::vector<double>;  // 1: it won, 0.5: a tie, 0: it lost

}  // namespace

std::vector<BlindedPair> blinded_pairs(const Evaluation& evaluation, std::uint64_t seed) {
  std::vector<BlindedPair> pairs;  // before they are shuffled
  for (std::size_t i = 0; i < evaluation.systems.size(); ++i) {
    if (i == evaluation.reference_system) continue;
    for (std::size_t j = 0; j < evaluation.records.size(); ++j) pairs.push_back({i, j, false});
  }
  std::vector<BlindedPair> result;
  for (const std::uint32_t at : shuffled(seed, 0, static_cast<std::uint32_t>(pairs.size()))) {
    result.push_back(pairs[at]);
    result.back().system_is_a = uniform_draw(seed, result.size() - 1, 0) < 0.5F;
  }
  return result;
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
    fail(ErrorKind::data,
         "{}: {} of {} pairs lack a verdict: leave them out (--partial), or judge them", verdicts,
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

}  // namespace gist

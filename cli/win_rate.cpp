#include "cli/win_rate.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "formats/files/file_io.h"
#include "formats/files/json_text.h"

namespace gist {
namespace {

using Json = nlohmann::ordered_json;

std::string key_path(const std::string& path) {
  return path + ".key";
}

std::string line_of(const Json& json) {
  return text_of_json(json) + "\n";
}

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
  const SystemResults& reference = evaluation.systems[evaluation.reference_system];
  AtomicFile questions(path, Existing::refuse), key(key_path(path), Existing::refuse);
  std::uint64_t number = 0;
  for (const BlindedPair& pair : blinded_pairs(evaluation, seed)) {
    const SystemResults& system = evaluation.systems[pair.system];
    const EvaluationRecord& record = evaluation.records[pair.record];
    const std::string& own = system.records[pair.record].completion;
    const std::string& other = reference.records[pair.record].completion;
    questions.write(line_of({{"pair", number},
                             {"instruction", record.instruction},
                             {"input", record.input},
                             {"a", pair.system_is_a ? own : other},
                             {"b", pair.system_is_a ? other : own}}));
    key.write(line_of({{"pair", number},
                       {"system", system.system.name},
                       {"reference", reference.system.name},
                       {"system_is", pair.system_is_a ? "a" : "b"}}));
    ++number;
  }
  key.commit();  // first: pairs without their key are worth nothing
  questions.commit();
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

#include "cli/report/provenance.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <fstream>

#include "cli/report/numbers.h"
#include "formats/files/json_text.h"
#include "kernels/cpu/process_limits.h"

namespace gist {
namespace {

/// Quotes a text so that a shell reads it as one word.
std::string shell_word(const std::string& text) {
  constexpr std::string_view plain = "-_./=:,+@%";
  const bool needs_none = !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || plain.find(c) != plain.npos;
  });
  if (needs_none) return text;
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::string now() {
  const std::time_t seconds = std::time(nullptr);
  std::tm utc{};
  char text[32];
  if (gmtime_r(&seconds, &utc) == nullptr) return "";
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &utc)};
}

/// Linux's name for it; "" elsewhere.
std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "";
}

std::string machine() {
  std::vector<std::string> parts;
  if (std::string name = processor(); !name.empty()) parts.push_back(std::move(name));
  const int threads = cpu::usable_threads();
  parts.push_back(fmt::format("{} thread{}", threads, threads == 1 ? "" : "s"));
  const long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
  if (pages > 0 && page_bytes > 0) {
    parts.push_back(
        shown(static_cast<double>(pages) * static_cast<double>(page_bytes), Quantity::bytes) +
        " of memory");
  }
  utsname system{};
  if (uname(&system) == 0) {
    parts.push_back(fmt::format("{} {} ({})", system.sysname, system.release, system.machine));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace

Provenance provenance_of(const std::string& subcommand, const Options& options) {
  Provenance provenance;
  provenance.version = "gist " GIST_VERSION;
  provenance.command = "gist " + subcommand;
  for (const std::string& argument : options.arguments()) {
    provenance.command += (argument.starts_with("--") ? " \\\n  " : " ") + shell_word(argument);
  }
  provenance.created = now();
  provenance.machine = machine();
  const nlohmann::ordered_json settings = options.as_json();
  for (const auto& [name, value] : settings.items()) {
    provenance.settings.push_back(
        {name, value.is_string() ? value.get<std::string>() : text_of_json(value)});
  }
  return provenance;
}

}  // namespace gist

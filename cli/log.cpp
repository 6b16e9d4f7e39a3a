#include "cli/log.h"

#include <spdlog/formatter.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <string>
#include <string_view>

#include "cli/stderr_log.h"
#include "formats/files/text.h"

namespace gist {
namespace {

class PrintableLine final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& line) override {
    const std::string text =
        "gist: " + printable({message.payload.data(), message.payload.size()}) + "\n";
    line.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<PrintableLine>();
  }
};

}  // namespace

void log_to_standard_error() {
  const auto logger = std::make_shared<spdlog::logger>("gist", std::make_shared<StderrLog>());
  logger->set_formatter(std::make_unique<PrintableLine>());
  spdlog::set_default_logger(logger);
}

void log_line(LogLevel level, const std::string& line) {
  switch (level) {
    case LogLevel::detail:
      return spdlog::debug("{}", line);
    case LogLevel::info:
      return spdlog::info("{}", line);
    case LogLevel::warning:
      return spdlog::warn("{}", line);
  }
}

}  // namespace gist

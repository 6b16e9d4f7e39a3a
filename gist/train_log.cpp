#include "gist/train_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>

#include "formats/files/file_io.h"
#include "formats/files/json_text.h"
#include "kernels/error.h"

namespace gist {
namespace {

constexpr std::size_t window = 64;
constexpr std::size_t least_known = 16;
constexpr std::size_t divergence_window = 32;

std::optional<std::int64_t> step_of(std::string_view line) {
  const std::optional<nlohmann::json> parsed = json_in(line);
  if (!parsed || !parsed->is_object()) return std::nullopt;
  const auto step = parsed->find("step");
  if (step == parsed->end() || !step->is_number_integer()) return std::nullopt;
  return step->get<std::int64_t>();
}

/// The whole lines of steps up to `steps`.
std::string kept_lines(std::string_view text, std::int64_t steps) {
  std::string kept;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    if (end == std::string_view::npos) break;  // torn
    const std::string_view line = text.substr(begin, end + 1 - begin);
    if (step_of(line).value_or(steps + 1) <= steps) kept += line;
    begin = end + 1;
  }
  return kept;
}

int opened(const std::filesystem::path& path, std::int64_t steps) {
  if (may_exist(path)) write_file_atomically(path, kept_lines(read_file(path), steps));
  const int descriptor =
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0666);
  if (descriptor < 0) {
    fail(ErrorKind::cannot_create, "{}: {}", path.string(), std::strerror(errno));
  }
  return descriptor;
}

}  // namespace

StepLog::StepLog(const std::filesystem::path& path, std::int64_t steps)
    : name_(path.string()), descriptor_(opened(path, steps)) {}

StepLog::~StepLog() {
  ::close(descriptor_);
}

void StepLog::write(const nlohmann::ordered_json& line) {
  const std::string text = text_of_json(line) + "\n";
  for (std::string_view left = text; !left.empty();) {
    const ssize_t written = ::write(descriptor_, left.data(), left.size());
    if (written >= 0) {
      left.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno != EINTR) {
      fail(ErrorKind::io, "writing {}: {}", name_, std::strerror(errno));
    }
  }
}

double SpikeDetector::mean() const {
  return std::accumulate(last_.begin(), last_.end(), 0.0) / static_cast<double>(last_.size());
}

bool SpikeDetector::is_spike(double loss) {
  if (last_.size() >= least_known) {
    const double mean = this->mean();
    double squares = 0;
    for (const double each : last_) squares += (each - mean) * (each - mean);
    const double deviation = std::sqrt(squares / static_cast<double>(last_.size()));
    if (loss > mean + 6 * deviation && loss > 1.5 * mean) return true;
  }
  if (last_.size() == window) last_.erase(last_.begin());
  last_.push_back(loss);
  return false;
}

void DivergenceDetector::add(double loss) {
  if (!first_) {
    first_ = loss;
    return;
  }
  ++count_;
  if (last_.size() == divergence_window) last_.erase(last_.begin());
  last_.push_back(loss);
}

bool DivergenceDetector::diverges() const {
  return count_ >= divergence_window && all_above(divergence_window, 1.1);
}

bool DivergenceDetector::diverged() const {
  if (count_ >= divergence_window) return diverges();
  constexpr std::size_t least = 4;
  return count_ >= least && all_above(std::max(least, last_.size() / 2), 1.5);
}

bool DivergenceDetector::all_above(std::size_t losses, double factor) const {
  return std::all_of(last_.end() - static_cast<std::ptrdiff_t>(losses), last_.end(),
                     [&](double loss) { return loss > factor * start(); });
}

}  // namespace gist

// An axis says where values stand on a chart, and which of them are written at it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/report/numbers.h"

namespace gist {

struct Range {
  double low = 0, high = 0;
};
/// Adds a value to a range, or begins one; what isn't finite, or nearly so, is left out.
void include(std::optional<Range>& range, double value);

struct AxisSpec {
  std::string label;
  Quantity quantity = Quantity::number;
  bool logarithmic = false;  // values must be above 0: others are put at the lowest
  bool from_zero = false;
};

struct Tick {
  double value = 0;
  std::string text;
};

class Axis {
 public:
  /// An axis from pixel `begin` to `end` with about so many ticks, at round values, the first and
  /// last of which enclose the range. It is never empty.
  Axis(const AxisSpec& spec, std::optional<Range> range, double begin, double end, int ticks);

  double at(double value) const;  // in pixels; values beyond the ends are put at them
  const std::vector<Tick>& ticks() const { return ticks_; }
  double begin() const { return begin_; }
  double end() const { return end_; }

 private:
  void place_linear(Range range, const AxisSpec& spec, int ticks);
  void place_logarithmic(Range range, const AxisSpec& spec, int ticks);
  double position(double value) const;

  bool logarithmic_;
  double begin_, end_;
  Range range_;
  std::vector<Tick> ticks_;
};

}  // namespace gist

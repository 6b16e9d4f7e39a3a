#include "cli/report/axis.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace gist {
namespace {

constexpr double largest_end = 1e250;  // with room for arithmetic

/// The least of 1, 2, 5 times a power of ten that isn't below.
double round_step(double least) {
  const double power = std::pow(10, std::floor(std::log10(least)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= least * (1 - 1e-9)) return factor * power;
  }
  return 10 * power;
}

/// The same for bytes: powers of two.
double round_byte_step(double least) {
  return std::exp2(std::ceil(std::log2(std::max(least, 1.0)) - 1e-9));
}

/// "2e-4"
std::string scientific(double value) {
  const int exponent = static_cast<int>(std::floor(std::log10(std::abs(value)) + 1e-9));
  return fmt::format("{:.3g}e{}", value / std::pow(10, exponent), exponent);
}

/// Writes a value with as many digits as tell neighbours `step` apart from each other, and with the
/// thousands or millions of the axis's greatest value.
std::string tick_text(double value, double step, double greatest, Quantity quantity) {
  if (quantity == Quantity::bytes || quantity == Quantity::flops ||
      quantity == Quantity::duration) {
    return shown(value, quantity, greatest);
  }
  const double factor = quantity == Quantity::percent ? 100 : 1;
  const double size = greatest * factor;
  if (value == 0) return "0";
  if (size >= 1e6) return fmt::format("{:g} M", value * factor / 1e6);
  if (size >= 1e4) return fmt::format("{:g} k", value * factor / 1e3);
  const int digits = std::max(0, -static_cast<int>(std::floor(std::log10(step * factor) + 1e-9)));
  if (digits > 3) return scientific(value * factor);
  const std::string text = fmt::format("{:.{}f}", value * factor, digits);
  return text.starts_with('-') ? "−" + text.substr(1) : text;
}

}  // namespace

void include(std::optional<Range>& range, double value) {
  if (!(std::abs(value) <= largest_end)) return;
  if (!range) range = {value, value};
  range->low = std::min(range->low, value);
  range->high = std::max(range->high, value);
}

Axis::Axis(const AxisSpec& spec, std::optional<Range> range, double begin, double end, int ticks)
    : logarithmic_(spec.logarithmic), begin_(begin), end_(end) {
  if (spec.from_zero) include(range, 0);
  if (logarithmic_) {
    place_logarithmic(range.value_or(Range{1, 10}), spec, ticks);
  } else {
    place_linear(range.value_or(Range{0, 1}), spec, ticks);
  }
}

void Axis::place_linear(Range range, const AxisSpec& spec, int ticks) {
  const double size = std::max(std::abs(range.low), std::abs(range.high));
  if (range.high - range.low <= 1e-9 * size) {  // as good as equal
    const double room = range.low == 0 ? 1 : size / 10;
    range = {spec.from_zero || range.low == 0 ? 0 : range.low - room, range.high + room};
  }
  const double least = (range.high - range.low) / ticks;
  const double step = spec.quantity == Quantity::bytes ? round_byte_step(least) : round_step(least);
  const double first = std::floor(range.low / step + 1e-6);
  const double last = std::ceil(range.high / step - 1e-6);
  range_ = {first * step, last * step};
  const double greatest = std::max(std::abs(range_.low), std::abs(range_.high));
  const auto steps = static_cast<int>(last - first);
  for (int i = 0; i <= steps; ++i) {
    const double value = (first + i) * step;
    ticks_.push_back({value, tick_text(value, step, greatest, spec.quantity)});
  }
}

/// Ticks at decades, or at 1, 2, 5 where there are few of them.
void Axis::place_logarithmic(Range range, const AxisSpec& spec, int ticks) {
  range.high = std::max(range.high, 1e-300);
  range.low = std::clamp(range.low, range.high * 1e-12, range.high);
  if (range.high <= range.low * (1 + 1e-6)) range = {range.low / 2, range.high * 2};
  const double decades = std::log10(range.high / range.low);
  const int factors = decades < 0.6 * ticks ? 3 : 1;
  const int every = std::max(1, static_cast<int>(std::ceil(decades / ticks)));
  constexpr std::array<double, 3> factor{1, 2, 5};
  std::vector<double> values;
  const int first = static_cast<int>(std::floor(std::log10(range.low) + 1e-9));
  for (int power = first - (first % every + every) % every;
       values.empty() || values.back() < range.high * (1 - 1e-9); power += every) {
    for (int i = 0; i < factors; ++i) {
      const double value = factor.at(static_cast<std::size_t>(i)) * std::pow(10, power);
      if (!values.empty() && values.back() >= range.high * (1 - 1e-9)) break;
      if (!values.empty() && value <= range.low * (1 + 1e-9)) values.clear();
      values.push_back(value);
    }
  }
  range_ = {values.front(), values.back()};
  for (const double value : values)
    ticks_.push_back({value, tick_text(value, value, std::abs(value), spec.quantity)});
}

double Axis::position(double value) const {
  return logarithmic_ ? std::log(std::max(value, range_.low)) : value;
}

double Axis::at(double value) const {
  const double low = position(range_.low);
  const double share = (position(value) - low) / (position(range_.high) - low);
  return begin_ + std::clamp(share, 0.0, 1.0) * (end_ - begin_);
}

}  // namespace gist

#include "cli/report/numbers.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

namespace gist {
namespace {

constexpr const char* no_number = "–";

/// Commas between thousands, and a real minus.
std::string typeset(std::string digits) {
  const bool negative = digits.starts_with('-');
  if (negative) digits.erase(0, 1);
  const bool plain = digits.find('e') == std::string::npos;
  const std::size_t whole = std::min(digits.find('.'), digits.size());
  for (std::size_t at = whole; plain && at > 3;) digits.insert(at -= 3, ",");
  const bool zero = digits.find_first_not_of("0.,") == std::string::npos;
  return negative && !zero ? "−" + digits : digits;
}

/// Four digits, in a form that stays short.
std::string significant(double value) {
  const double size = std::abs(value);
  if (size >= 1e7 || (size > 0 && size < 1e-3)) return typeset(fmt::format("{:.3g}", value));
  const int digits = size >= 1000 ? 0 : size >= 100 ? 1 : size >= 1 ? 2 : 4;
  return typeset(fmt::format("{:.{}f}", value, digits));
}

struct Unit {
  double size;
  const char* name;
};
constexpr auto byte_units = std::to_array<Unit>(
    {{1, " B"}, {0x1p10, " KiB"}, {0x1p20, " MiB"}, {0x1p30, " GiB"}, {0x1p40, " TiB"}});
constexpr auto flop_units =
    std::to_array<Unit>({{1, ""}, {1e3, " k"}, {1e6, " M"}, {1e9, " G"}, {1e12, " T"}});
constexpr auto time_units = std::to_array<Unit>({{1e-6, " µs"}, {1e-3, " ms"}, {1, " s"}});

/// Writes a value in the largest unit that `scale` has at least one of.
std::string in_unit(double value, double scale, std::span<const Unit> units) {
  Unit unit = units.front();
  for (const Unit& each : units) {
    if (std::abs(scale) >= each.size) unit = each;
  }
  const double in = value / unit.size;
  const double size = std::abs(in);
  const int digits = size >= 100 || in == std::round(in) ? 0 : size >= 10 || size == 0 ? 1 : 2;
  std::string text = fmt::format("{:.{}f}", in, digits);
  if (digits == 2 && text.ends_with('0')) text.pop_back();
  return typeset(text) + unit.name;
}

Html data(double value, const std::string& text) {
  return std::isfinite(value) ? html("<data value=\"{}\">{}</data>", value, text)
                              : html("{}", text);
}

}  // namespace

std::string shown(double value, Quantity quantity) {
  return shown(value, quantity, value);
}

std::string shown(double value, Quantity quantity, double scale) {
  if (!std::isfinite(value)) return no_number;
  switch (quantity) {
    case Quantity::number:
      return significant(value);
    case Quantity::count:
      return typeset(fmt::format("{:.{}f}", value, value == std::round(value) ? 0 : 1));
    case Quantity::percent:
      return typeset(fmt::format("{:.1f}", 100 * value));
    case Quantity::nats:
      return typeset(fmt::format("{:.4f}", value));
    case Quantity::bytes:
      return in_unit(value, scale, byte_units);
    case Quantity::seconds:
      return typeset(fmt::format("{:.2f}", value));
    case Quantity::duration:
      return in_unit(value, scale, time_units);
    case Quantity::flops:
      return in_unit(value, scale, flop_units);
    case Quantity::rate:
      return fmt::format("{:.3g}", value);
  }
  return no_number;
}

std::string shown_with_sign(double value, Quantity quantity) {
  const std::string text = shown(value, quantity);
  return std::isfinite(value) && !text.starts_with("−") ? "+" + text : text;
}

std::string unit_of(Quantity quantity) {
  switch (quantity) {
    case Quantity::percent:
      return "%";
    case Quantity::nats:
      return "nats";
    case Quantity::seconds:
      return "s";
    default:
      return "";
  }
}

std::string with_unit(const std::string& name, Quantity quantity) {
  const std::string unit = unit_of(quantity);
  return unit.empty() ? name : name + ", " + unit;
}

Html number(double value, Quantity quantity) {
  return data(value, shown(value, quantity));
}

Html number_with_sign(double value, Quantity quantity) {
  return data(value, shown_with_sign(value, quantity));
}

Html count(std::uint64_t value) {
  return html("<data value=\"{}\">{}</data>", value, typeset(std::to_string(value)));
}

}  // namespace gist

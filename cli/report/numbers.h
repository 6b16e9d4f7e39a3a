// Numbers as people read them. The exact ones stand beside them, in the value of a <data> element.
#pragma once

#include <cstdint>
#include <string>

#include "cli/report/html.h"

namespace gist {

/// A quantity is what a number counts: it decides the number's digits and its unit.
enum class Quantity : std::uint8_t {
  number,
  count,    // of things; a mean of counts has a decimal
  percent,  // of a fraction: 0.448 is shown as 44.8
  nats,
  bytes,
  seconds,
  duration,  // in seconds; shown with the unit that suits it
  flops,
  rate,  // a learning rate
};

/// "44.8", "12,345", "3.4 KiB": without the unit where all numbers of a kind share one. What isn't
/// finite is "–", as it is null in JSON. A minus is U+2212.
std::string shown(double value, Quantity quantity);
/// The same in the unit of another number: "0.5 ms" rather than "500 µs" beside "2 ms".
std::string shown(double value, Quantity quantity, double scale);
/// The same with its sign: "+1.2".
std::string shown_with_sign(double value, Quantity quantity);
/// "%", "nats", "s"; "" where `shown` says it or there is none.
std::string unit_of(Quantity quantity);
/// "loss, nats"
std::string with_unit(const std::string& name, Quantity quantity);

/// <data value="0.448">44.8</data>: the value as JSON has it.
Html number(double value, Quantity quantity);
Html number_with_sign(double value, Quantity quantity);
Html count(std::uint64_t value);

}  // namespace gist

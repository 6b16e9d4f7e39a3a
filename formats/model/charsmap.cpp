#include "formats/model/charsmap.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <vector>

namespace gist {
namespace {

// Fields of ModelProto and NormalizerSpec (sentencepiece_model.proto).
constexpr std::uint64_t normalizer_spec = 3;
constexpr std::uint64_t denormalizer_spec = 5;
constexpr std::uint64_t precompiled_charsmap = 2;

/// Reads the fields of one protocol buffer in order.
class ProtoReader {
 public:
  explicit ProtoReader(std::string_view bytes) : rest_(bytes) {}

  struct Field {
    std::uint64_t number = 0;
    std::string_view bytes;  // of length-delimited fields; others are skipped
  };

  /// Nothing at the end, or where the bytes are no fields.
  std::optional<Field> next() {
    const std::optional<std::uint64_t> tag = varint();
    if (!tag) return std::nullopt;
    const Field field{*tag >> 3, {}};
    switch (*tag & 7) {
      case 0:
        return varint() ? std::optional(field) : std::nullopt;
      case 1:
        return take(8) ? std::optional(field) : std::nullopt;
      case 2: {
        const std::optional<std::uint64_t> size = varint();
        const std::optional<std::string_view> bytes = size ? take(*size) : std::nullopt;
        return bytes ? std::optional(Field{field.number, *bytes}) : std::nullopt;
      }
      case 5:
        return take(4) ? std::optional(field) : std::nullopt;
      default:
        return std::nullopt;
    }
  }

 private:
  std::optional<std::uint64_t> varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const std::optional<std::string_view> byte = take(1);
      if (!byte) return std::nullopt;
      const auto bits = static_cast<unsigned char>((*byte)[0]);
      value |= std::uint64_t{bits & 0x7fU} << shift;
      if (bits < 0x80) return value;
    }
    return std::nullopt;
  }

  std::optional<std::string_view> take(std::uint64_t size) {
    if (size > rest_.size()) return std::nullopt;
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }

  std::string_view rest_;
};

/// A unit of the trie, as Darts-clone packs it (darts.h).
struct Unit {
  std::uint32_t bits;

  bool has_leaf() const { return (bits >> 8 & 1) != 0; }
  std::uint32_t value() const { return bits & 0x7fffffff; }
  std::uint32_t label() const { return bits & 0x800000ff; }
  std::uint32_t offset() const { return bits >> 10 << ((bits & 1U << 9) >> 6); }
};

/// Goes wherever any bytes lead, each place once.
std::string trie_fault(const std::vector<Unit>& units, std::string_view texts) {
  std::vector<bool> seen(units.size());
  std::vector<std::size_t> open;
  const auto visit = [&](std::size_t place) {
    if (place >= units.size()) return false;
    if (!seen[place]) open.push_back(place);
    seen[place] = true;
    return true;
  };
  constexpr const char* outside = "its normalisation map points outside of itself";
  if (units.empty() || !visit(units[0].offset())) return outside;
  while (!open.empty()) {
    const std::size_t place = open.back();
    open.pop_back();
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
      const std::size_t at = place ^ byte;
      if (at >= units.size()) return outside;
      if (units[at].label() != byte) continue;
      const std::size_t below = at ^ units[at].offset();
      if (!visit(below)) return outside;
      if (units[at].has_leaf() && units[below].value() >= texts.size()) return outside;
    }
  }
  return "";
}

/// The two parts of a map.
struct MapParts {
  std::vector<Unit> units;
  std::string_view texts;
};

/// What is wrong with the map; else its parts.
std::string read_map(std::string_view map, MapParts& parts) {
  constexpr const char* cut = "its normalisation map is cut off";
  std::uint32_t trie_bytes = 0;
  if (map.size() <= sizeof trie_bytes) return cut;
  std::memcpy(&trie_bytes, map.data(), sizeof trie_bytes);  // little-endian, as this machine is
  map.remove_prefix(sizeof trie_bytes);
  if (trie_bytes % sizeof(Unit) != 0 || trie_bytes >= map.size()) return cut;
  parts.units.resize(trie_bytes / sizeof(Unit));
  std::memcpy(parts.units.data(), map.data(), trie_bytes);
  parts.texts = map.substr(trie_bytes);
  if (parts.texts.back() != '\0') return cut;  // each text ends with a zero byte
  return trie_fault(parts.units, parts.texts);
}

std::string fault_of_map(std::string_view map) {
  MapParts parts;
  return map.empty() ? "" : read_map(map, parts);
}

}  // namespace

std::string charsmap_fault(std::string_view model) {
  ProtoReader fields(model);
  while (const std::optional<ProtoReader::Field> field = fields.next()) {
    if (field->number != normalizer_spec && field->number != denormalizer_spec) continue;
    ProtoReader members(field->bytes);
    while (const std::optional<ProtoReader::Field> member = members.next()) {
      if (member->number != precompiled_charsmap) continue;
      if (std::string fault = fault_of_map(member->bytes); !fault.empty()) return fault;
    }
  }
  return "";
}

std::optional<Charsmap> Charsmap::open(std::string_view bytes, std::string& fault) {
  MapParts parts;
  fault = read_map(bytes, parts);
  if (!fault.empty()) return std::nullopt;
  Charsmap map;
  for (const Unit unit : parts.units) map.trie_.push_back(unit.bits);
  map.texts_ = parts.texts;
  return map;
}

// Opening has looked at each place that bytes can lead to.
std::optional<std::string_view> Charsmap::shortest(std::string_view text) const {
  std::size_t place = Unit{trie_[0]}.offset();
  for (const char each : text) {
    const auto byte = static_cast<unsigned char>(each);
    if (byte == 0) break;
    const Unit unit{trie_[place ^ byte]};
    if (unit.label() != byte) break;
    place ^= byte ^ unit.offset();
    if (unit.has_leaf()) return std::string_view(texts_.data() + Unit{trie_[place]}.value());
  }
  return std::nullopt;
}

}  // namespace gist

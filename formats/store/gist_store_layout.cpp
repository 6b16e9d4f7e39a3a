#include "formats/store/gist_store_layout.h"

#include <charconv>
#include <cstring>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "core/visibility.h"
#include "formats/files/json_text.h"
#include "formats/files/text.h"
#include "formats/store/store_header_fields.h"
#include "kernels/error.h"

namespace gist {
namespace {

constexpr std::uint64_t chunk_limit = 0xffffffff;

std::string difference(std::string_view name, std::int64_t a, std::int64_t b) {
  return fmt::format("{}: {} here, {} there", name, a, b);
}

std::string difference(std::string_view name, std::string_view a, std::string_view b) {
  return fmt::format("{}: \"{}\" here, \"{}\" there", name, a, b);
}

/// Templates are the same where their JSON is, whatever its spaces.
bool is_same_template(const std::string& a, const std::string& b) {
  const std::optional<nlohmann::json> json_a = json_in(a);
  return json_a && json_a == json_in(b);
}

void check_version(const hdf5::File& file) {
  const std::string version = hdf5::read_string(file, "version");
  std::int64_t major = 0;
  const auto [end, error] = std::from_chars(version.data(), version.data() + version.size(), major);
  if (error != std::errc() || *end != '.') {
    fail(ErrorKind::data, "{}: attribute version is {}, not MAJOR.MINOR", file.name(),
         in_quotes(version));
  }
  if (major > store_major) {
    fail(ErrorKind::data,
         "{}: gist store version {}, newer than this gist reads ({}.x): use a newer gist",
         file.name(), in_quotes(version), store_major);
  }
  if (major < store_major) {
    fail(ErrorKind::data, "{}: gist store version {}, this gist reads {}.x", file.name(),
         in_quotes(version), store_major);
  }
  const std::string layout = hdf5::read_string(file, "layout");
  if (layout != store_layout) {
    fail(ErrorKind::data, "{}: layout {} is unknown; this gist reads \"{}\"", file.name(),
         in_quotes(layout), store_layout);
  }
}

Dtype read_dtype(const hdf5::File& file, const char* name) {
  const std::string text = hdf5::read_string(file, name);
  const std::optional<Dtype> dtype = dtype_named(text);
  if (!dtype || *dtype == Dtype::i32) {
    fail(ErrorKind::data, "{}: attribute {} is {}, not f32, bf16 or f16", file.name(), name,
         in_quotes(text));
  }
  return *dtype;
}

}  // namespace

std::uint64_t ActivationArray::token_values() const {
  std::uint64_t product = 1;
  for (const std::uint64_t dim : dims) product *= dim;
  return product;
}

ActivationArray key_array(const StoreHeader& header) {
  return {
      "/gist/key",
      {static_cast<std::uint64_t>(header.n_layers), static_cast<std::uint64_t>(header.n_kv_heads),
       static_cast<std::uint64_t>(header.key_dim)}};
}

ActivationArray value_array(const StoreHeader& header) {
  return {
      "/gist/value",
      {static_cast<std::uint64_t>(header.n_layers), static_cast<std::uint64_t>(header.n_kv_heads),
       static_cast<std::uint64_t>(header.value_dim)}};
}

ActivationArray hidden_array(const StoreHeader& header) {
  return {"/gist/hidden", {static_cast<std::uint64_t>(header.d_model)}};
}

hdf5::Handle store_float_type(Dtype dtype) {
  switch (dtype) {
    case Dtype::f32:
      return hdf5::f32_type();
    case Dtype::bf16:
      return hdf5::bf16_type();
    case Dtype::f16:
      return hdf5::f16_type();
    case Dtype::i32:
      break;
  }
  fail(ErrorKind::internal, "a gist store can't hold {}", name_of(dtype));
}

void check_store_shape(const StoreHeader& header, std::string_view name) {
  const std::pair<const char*, std::int64_t> sizes[] = {{"n_layers", header.n_layers},
                                                        {"n_kv_heads", header.n_kv_heads},
                                                        {"key_dim", header.key_dim},
                                                        {"value_dim", header.value_dim},
                                                        {"d_model", header.d_model}};
  for (const auto& [size_name, size] : sizes) {
    if (size < 1 || static_cast<std::uint64_t>(size) > chunk_limit) {
      fail(ErrorKind::data, "{}: {} is {}, not a size", name, size_name, size);
    }
  }
  for (const ActivationArray& array :
       {key_array(header), value_array(header), hidden_array(header)}) {
    std::uint64_t bytes = size_of(header.dtype);
    for (const std::uint64_t dim : array.dims) {
      if (__builtin_mul_overflow(bytes, dim, &bytes) || bytes > chunk_limit) {
        fail(ErrorKind::data, "{}: {} of one token takes more than 4 GiB", name, array.name);
      }
    }
  }
}

StoreHeader read_store_header(const hdf5::File& file) {
  if (!hdf5::has_attribute(file, "format") || hdf5::read_string(file, "format") != store_format) {
    fail(ErrorKind::data, "{}: an HDF5 file, but no gist store (attribute format is not \"{}\")",
         file.name(), store_format);
  }
  check_version(file);
  StoreHeader header;
  const auto read = [&]<typename Value>(const char* name, Value StoreHeader::*member) {
    if constexpr (std::is_same_v<Value, Dtype>) {
      header.*member = read_dtype(file, name);
    } else if constexpr (std::is_same_v<Value, std::int64_t>) {
      header.*member = hdf5::read_integer(file, name);
    } else if (!may_be_left_out(member) || hdf5::has_attribute(file, name)) {
      header.*member = hdf5::read_string(file, name);
    }
  };
  for_each_header_field(read);
  if (header.key_position != "pre-rope" && header.key_position != "none" &&
      header.key_position != "absolute") {
    fail(ErrorKind::data,
         "{}: attribute key_position is {}, not \"pre-rope\", \"none\" or \"absolute\"",
         file.name(), in_quotes(header.key_position));
  }
  if (header.gist_tokens < 0 || header.gist_tokens > std::int64_t{max_gist_tokens}) {
    fail(ErrorKind::data, "{}: attribute gist_tokens is {}, expected 0 to {}", file.name(),
         header.gist_tokens, max_gist_tokens);
  }
  check_store_shape(header, file.name());
  return header;
}

void write_store_header(const hdf5::File& file, const StoreHeader& header) {
  hdf5::write_string(file, "format", std::string(store_format));
  hdf5::write_string(file, "version", std::string(store_version));
  hdf5::write_string(file, "layout", std::string(store_layout));
  const auto write = [&]<typename Value>(const char* name, Value StoreHeader::*member) {
    if constexpr (std::is_same_v<Value, Dtype>) {
      hdf5::write_string(file, name, std::string(name_of(header.*member)));
    } else if constexpr (std::is_same_v<Value, std::int64_t>) {
      hdf5::write_integer(file, name, header.*member);
    } else if (!may_be_left_out(member) || !(header.*member).empty()) {
      hdf5::write_string(file, name, header.*member);
    }
  };
  for_each_header_field(write);
}

std::string header_difference(const StoreHeader& a, const StoreHeader& b, bool with_dtype) {
  std::string found;
  const auto compare = [&]<typename Value>(const char* name, Value StoreHeader::*member) {
    if (!found.empty() || a.*member == b.*member) return;
    if constexpr (std::is_same_v<Value, Dtype>) {
      if (with_dtype) found = difference(name, name_of(a.*member), name_of(b.*member));
    } else {
      if constexpr (std::is_same_v<Value, std::string>) {
        if (member == &StoreHeader::creator) return;  // another version of gist may have made it
        const bool is_template = member == &StoreHeader::prompt_template;
        if (is_template && is_same_template(a.*member, b.*member)) return;
      }
      found = difference(name, a.*member, b.*member);
    }
  };
  for_each_header_field(compare);
  return found;
}

}  // namespace gist

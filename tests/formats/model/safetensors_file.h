// Safetensors files as bytes, valid or not.
#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>

#include "tests/formats/test_support.h"

namespace gist::testing {

inline std::string safetensors_bytes(const std::string& header, const std::string& data) {
  const std::uint64_t length = header.size();
  std::string bytes(sizeof length, '\0');
  std::memcpy(bytes.data(), &length, sizeof length);
  return bytes + header + data;
}

}  // namespace gist::testing

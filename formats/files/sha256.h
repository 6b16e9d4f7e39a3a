// SHA-256 (libcrypto).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace gist {

using Sha256 = std::array<std::uint8_t, 32>;

class Sha256Stream {
 public:
  Sha256Stream();
  ~Sha256Stream();
  Sha256Stream(Sha256Stream&&) noexcept;
  void update(std::span<const std::byte> bytes);
  void update(std::string_view bytes);
  Sha256 finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Sha256 sha256(std::string_view bytes);
std::string to_hex(const Sha256& digest);
/// The SHA-256 of a file's bytes.
Sha256 sha256_of_file(const std::filesystem::path& path);

}  // namespace gist

#include "formats/files/sha256.h"

#include <openssl/evp.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <vector>

#include "kernels/error.h"

namespace gist {
namespace {

constexpr std::size_t hashed_block = 1 << 20;

void check(int status) {
  if (status != 1) fail(ErrorKind::internal, "libcrypto can't compute SHA-256");
}

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

}  // namespace

struct Sha256Stream::State {
  std::unique_ptr<EVP_MD_CTX, FreeContext> context{EVP_MD_CTX_new()};
};

Sha256Stream::Sha256Stream() : state_(std::make_unique<State>()) {
  check(state_->context ? EVP_DigestInit_ex(state_->context.get(), EVP_sha256(), nullptr) : 0);
}
Sha256Stream::~Sha256Stream() = default;
Sha256Stream::Sha256Stream(Sha256Stream&&) noexcept = default;

void Sha256Stream::update(std::span<const std::byte> bytes) {
  check(EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size()));
}

void Sha256Stream::update(std::string_view bytes) {
  update(std::as_bytes(std::span(bytes)));
}

Sha256 Sha256Stream::finish() {
  Sha256 digest{};
  check(EVP_DigestFinal_ex(state_->context.get(), digest.data(), nullptr));
  return digest;
}

Sha256 sha256(std::string_view bytes) {
  Sha256Stream stream;
  stream.update(bytes);
  return stream.finish();
}

std::string to_hex(const Sha256& digest) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string hex;
  for (const std::uint8_t byte : digest) {
    hex += digits[byte >> 4];
    hex += digits[byte & 15];
  }
  return hex;
}

Sha256 sha256_of_file(const std::filesystem::path& path) {
  const std::unique_ptr<std::FILE, CloseFile> file(std::fopen(path.c_str(), "rb"));
  if (!file) {
    fail(ErrorKind::no_input, "{}: can't be opened: {}", path.string(), std::strerror(errno));
  }
  Sha256Stream stream;
  std::vector<std::byte> block(hashed_block);
  while (const std::size_t got = std::fread(block.data(), 1, block.size(), file.get())) {
    stream.update(std::span<const std::byte>(block.data(), got));
  }
  if (std::ferror(file.get()) != 0) {
    fail(ErrorKind::io, "{}: can't be read: {}", path.string(), std::strerror(errno));
  }
  return stream.finish();
}

}  // namespace gist

#include "gist/c/status.h"

#include <algorithm>
#include <cstddef>

#include "formats/files/text.h"

namespace gist::c {

gist_status status_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::usage:
      return GIST_USAGE;
    case ErrorKind::data:
      return GIST_DATA;
    case ErrorKind::no_input:
      return GIST_NO_INPUT;
    case ErrorKind::unavailable:
      return GIST_UNAVAILABLE;
    case ErrorKind::internal:
      return GIST_INTERNAL;
    case ErrorKind::cannot_create:
      return GIST_CANNOT_CREATE;
    case ErrorKind::io:
      return GIST_IO;
    case ErrorKind::busy:
      return GIST_BUSY;
  }
  return GIST_INTERNAL;
}

gist_status tell(gist_error* error, gist_status status, const char* message) noexcept {
  constexpr std::size_t before_message = offsetof(gist_error, message);
  if (error == nullptr || error->size <= before_message) return status;
  error->status = status;
  const std::size_t capacity = std::min(error->size - before_message, sizeof error->message);
  const std::size_t length = std::min(std::strlen(message), capacity - 1);
  std::memcpy(error->message, message, length);
  error->message[length] = '\0';
  return status;
}

std::string text_of(const char* text, const char* name) {
  require(text, name);
  if (!valid_utf8(text))
    fail(ErrorKind::data, "{}: expected UTF-8, found {}", name, in_quotes(text));
  return text;
}

std::string text_or_empty(const char* text, const char* name) {
  return text == nullptr ? std::string() : text_of(text, name);
}

void check_size(const void* given, std::size_t size, std::size_t known, const char* name) {
  constexpr std::size_t most = 1 << 16;
  if (size < known || size > most) {
    fail(ErrorKind::usage, "{}: size should be sizeof the struct, {} here, found {}", name, known,
         size);
  }
  const auto* bytes = static_cast<const char*>(given);
  if (std::any_of(bytes + known, bytes + size, [](char byte) { return byte != 0; })) {
    fail(ErrorKind::usage, "{}: it sets members that this version of the library doesn't know",
         name);
  }
}

}  // namespace gist::c

extern "C" {

int32_t gist_c_version(void) {
  return GIST_C_MAJOR * 1000 + GIST_C_MINOR;
}

const char* gist_version(void) {
  return GIST_VERSION;
}

const char* gist_status_name(gist_status status) {
  switch (status) {
    case GIST_OK:
      return "ok";
    case GIST_USAGE:
      return "usage";
    case GIST_DATA:
      return "data";
    case GIST_NO_INPUT:
      return "no input";
    case GIST_UNAVAILABLE:
      return "unavailable";
    case GIST_INTERNAL:
      return "internal";
    case GIST_CANNOT_CREATE:
      return "cannot create";
    case GIST_IO:
      return "input or output";
    case GIST_BUSY:
      return "busy";
    case GIST_CLOSED:
      return "closed";
    case GIST_CANCELLED:
      return "cancelled";
  }
  return "unknown";
}
}

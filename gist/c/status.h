// Every function of the C interface does this around its work: exceptions become a status and a
// message, arguments are looked at, structs are taken by their size.
#pragma once

#include <cstring>
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "gist/gist.h"
#include "kernels/error.h"

namespace gist::c {

/// Ends a call with a status that has no ErrorKind.
class Ended : public std::exception {
 public:
  Ended(gist_status status, std::string message) : status_(status), message_(std::move(message)) {}
  gist_status status() const { return status_; }
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  gist_status status_;
  std::string message_;
};

gist_status status_of(ErrorKind kind);
/// Fills in the caller's error, as far as its size allows, and answers the status.
gist_status tell(gist_error* error, gist_status status, const char* message) noexcept;

/// Runs `body`; no exception leaves it.
template <typename Body>
gist_status guarded(gist_error* error, const Body& body) noexcept {
  try {
    body();
    return tell(error, GIST_OK, "");
  } catch (const Ended& ended) {
    return tell(error, ended.status(), ended.what());
  } catch (const Error& failed) {
    return tell(error, status_of(failed.kind()), failed.what());
  } catch (const std::bad_alloc&) {
    return tell(error, GIST_UNAVAILABLE, "there is not enough memory");
  } catch (const std::exception& unknown) {
    return tell(error, GIST_INTERNAL, unknown.what());
  } catch (...) {
    return tell(error, GIST_INTERNAL, "an exception of unknown type");
  }
}

/// Throws Error(usage) where the pointer is null; `name` is the argument's.
inline void require(const void* pointer, const char* name) {
  if (pointer == nullptr) fail(ErrorKind::usage, "{} is NULL", name);
}
/// A text argument. Throws Error(usage) where it is null, Error(data) where it is no UTF-8.
std::string text_of(const char* text, const char* name);
/// The same, where null means "".
std::string text_or_empty(const char* text, const char* name);

/// Throws Error(usage) where a struct's size is not that of the struct, or a later one's whose
/// members are 0 behind those that are known.
void check_size(const void* given, std::size_t size, std::size_t known, const char* name);

/// A struct that the caller filled in. Null gives defaults where `optional`.
template <typename Struct>
Struct taken(const Struct* given, const char* name, bool optional = false) {
  Struct result{};
  if (given == nullptr && optional) return result;
  require(given, name);
  check_size(given, given->size, sizeof(Struct), name);
  std::memcpy(&result, given, sizeof(Struct));
  return result;
}

/// Fills in a struct that the caller reads, whose size is that of the struct or of a later one.
template <typename Struct>
void give(Struct* target, Struct value, const char* name) {
  require(target, name);
  if (target->size < sizeof(Struct)) {
    fail(ErrorKind::usage, "{}: size should be sizeof the struct, at least {}, found {}", name,
         sizeof(Struct), target->size);
  }
  value.size = target->size;
  std::memcpy(target, &value, sizeof(Struct));
}

/// Copies a text into an array of a struct, cut where it is longer.
template <std::size_t Capacity>
void copy_text(char (&target)[Capacity], std::string_view text) {
  const std::size_t length = text.copy(target, Capacity - 1);
  target[length] = '\0';
}

}  // namespace gist::c

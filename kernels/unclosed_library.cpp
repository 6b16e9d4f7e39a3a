#include "kernels/unclosed_library.h"

#include <dlfcn.h>

#include <boost/dll/shared_library.hpp>
#include <system_error>

namespace gist {
namespace {

/// Boost's library, without the destructor that would close it.
union Unclosed {
  boost::dll::shared_library library;
  Unclosed() : library() {}
  ~Unclosed() {}
};

}  // namespace

std::string UnclosedLibrary::open(const std::filesystem::path& library, Search search) {
  using namespace boost::dll::load_mode;
  Unclosed opened;
  std::error_code error;
  const type where = search == Search::system ? search_system_folders : default_mode;
  opened.library.load(library, rtld_now | rtld_local | where, error);
  if (error) {
    const char* reason = ::dlerror();
    return reason == nullptr ? error.message() : reason;
  }
  handle_ = opened.library.native();
  return "";
}

const void* UnclosedLibrary::symbol(const char* name) const {
  return ::dlsym(handle_, name);
}

}  // namespace gist

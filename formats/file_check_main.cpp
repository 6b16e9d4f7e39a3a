// gist-file-check, the child process of formats/files/file_check.h: reads one file, and writes
// "passed", or "KIND MESSAGE" of the Error that reading threw, to the report descriptor. Lines
// "rows DONE ALL" may come before.
//
//     gist-file-check store|store-chunks|tokenizer PATH
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <vector>

#include "formats/files/child_process.h"
#include "formats/files/file_check.h"
#include "formats/files/file_io.h"
#include "formats/gguf/gguf_file.h"
#include "formats/model/charsmap.h"
#include "formats/model/tokenizer.h"
#include "formats/store/gist_store.h"
#include "kernels/error.h"

namespace gist {
namespace {

void limit(int resource, std::uint64_t most) {
  struct rlimit limits {};
  if (::getrlimit(static_cast<__rlimit_resource>(resource), &limits) != 0) return;
  limits.rlim_cur = std::min<rlim_t>(limits.rlim_max, most);
  ::setrlimit(static_cast<__rlimit_resource>(resource), &limits);
}

/// No more than reading a file of this size can take.
void limit_resources(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return;
  const auto bytes = static_cast<std::uint64_t>(status.st_size);
  constexpr std::uint64_t bytes_a_second = 10'000'000;
  limit(RLIMIT_CPU, 20 + bytes / bytes_a_second);
  limit(RLIMIT_CORE, 0);
// These sanitizers reserve address space without end.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  constexpr std::uint64_t program_and_libraries = std::uint64_t{1} << 30;
  limit(RLIMIT_AS, program_and_libraries + 8 * bytes);
#endif
}

/// Keeps the C library from printing that a heap was overrun: to say so is the parent's part.
void be_quiet() {
  const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (nowhere < 0) return;
  ::dup2(nowhere, STDERR_FILENO);
  ::dup2(nowhere, STDOUT_FILENO);
}

void check_tokenizer(const std::string& path) {
  // The map of a tokenizer.json is looked at where it is read; that of a GGUF file is refused.
  const bool is_sentencepiece = !path.ends_with(".json") && !is_gguf_file(path);
  const std::string fault = is_sentencepiece ? charsmap_fault(read_file(path)) : "";
  if (!fault.empty()) {
    fail(ErrorKind::data, "{}: a damaged SentencePiece model: {}; copy or download it again", path,
         fault);
  }
  const Tokenizer tokenizer = Tokenizer::open(path, {.trusted = true});
  std::string text = "Once upon a time, 1/2\t\n";
  for (std::int32_t id = 0; id < tokenizer.size(); ++id) {
    tokenizer.decode({&id, 1});
    if (id < 1000) text += tokenizer.decode({&id, 1});
  }
  try {
    tokenizer.decode(tokenizer.encode(text));
  } catch (const Error&) {
    if (!tokenizer.is_json()) throw;  // a tokenizer.json needn't be able to spell this
  }
}

/// Whether all is written.
bool report(const std::string& text) {
  return ::write(report_descriptor, text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

/// Tells the parent how far verifying is, as often as a person can see.
class RowsReporter {
 public:
  void operator()(std::uint64_t done, std::uint64_t all) {
    constexpr std::chrono::milliseconds between{100};
    const Clock::time_point now = Clock::now();
    if (now < due_ && done < all) return;
    due_ = now + between;
    report(fmt::format("{}{} {}\n", rows_done_prefix, done, all));
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point due_;
};

void check(const std::string& what, const std::string& path) {
  if (what == name_of(FileCheck::tokenizer)) return check_tokenizer(path);
  const GistStore store(path, {.trusted = true});
  if (what == name_of(FileCheck::store_chunks)) store.verify(RowsReporter());
}

std::string report_on(const std::string& what, const std::string& path) {
  try {
    check(what, path);
    return "passed";
  } catch (const Error& error) {
    return fmt::format("{} {}", static_cast<int>(error.kind()), error.what());
  } catch (const std::bad_alloc&) {
    return fmt::format("{} {}: damaged: it takes more memory than a file of its size needs",
                       static_cast<int>(ErrorKind::data), path);
  } catch (const std::exception& error) {
    return fmt::format("{} {}: damaged ({})", static_cast<int>(ErrorKind::data), path,
                       error.what());
  }
}

int run(const std::vector<std::string>& arguments) {
  if (arguments.size() != 2) {
    std::fputs("gist-file-check is run by gist\n", stderr);
    return 64;
  }
  be_quiet();
  limit_resources(arguments[1]);
  const bool written = report(report_on(arguments[0], arguments[1]));
  // This leaves out HDF5's own clean-up, which can stumble over what a damaged file left.
  ::_exit(written ? 0 : 74);
}

}  // namespace
}  // namespace gist

int main(int argc, char** argv) {
  return gist::run({argv + 1, argv + argc});
}

// gist inspect: what a gist store holds.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/line_writer.h"
#include "cli/progress.h"
#include "cli/store_options.h"
#include "cli/words.h"
#include "formats/files/file_check.h"
#include "formats/files/json_text.h"
#include "formats/files/text.h"
#include "formats/store/gist_store.h"
#include "formats/store/store_header_json.h"
#include "gist/stopwatch.h"
#include "kernels/error.h"

namespace gist {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

/// Says what the path is where it plainly is no store.
void refuse_what_is_no_store(const fs::path& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) {
    fail(ErrorKind::data, "{}: {}; gist inspect reads gist stores, which gist compress writes",
         path.string(),
         fs::exists(path / "config.json", error) ? "a model directory" : "a directory");
  }
  if (!fs::is_regular_file(path, error)) return;
  std::string start(16, '\0');
  std::ifstream(path, std::ios::binary).read(start.data(), 16);
  if (start == std::string_view("SQLite format 3\0", 16)) {
    std::string store = path.string();
    constexpr std::string_view suffix = ".partial";
    if (store.ends_with(suffix)) store.resize(store.size() - suffix.size());
    fail(ErrorKind::data,
         "{}: the staging file of a gist compress run, no store yet: gist compress --output {} "
         "--resume goes on with it, --finish publishes it as it is",
         path.string(), store);
  }
}

/// The spread of a number that each row has.
struct Spread {
  std::uint64_t total = 0;
  std::uint32_t least = std::numeric_limits<std::uint32_t>::max();
  std::uint32_t most = 0;

  void add(std::uint32_t value) {
    total += value;
    least = std::min(least, value);
    most = std::max(most, value);
  }
};

struct Counts {
  std::uint64_t rows = 0;
  bool hidden = false;   // whether the store has hidden states
  Spread gist_tokens;    // a row
  Spread prompt_tokens;  // a row
  std::uint64_t bytes = 0;

  double per_row(std::uint64_t total) const {
    return static_cast<double>(total) / static_cast<double>(rows);
  }
  double compression() const {
    return static_cast<double>(prompt_tokens.total) / static_cast<double>(gist_tokens.total);
  }
};

Counts counts_of(const GistStore& store) {
  Counts counts;
  counts.rows = store.rows();
  counts.hidden = store.has_hidden();
  for (std::uint64_t r = 0; r < counts.rows; ++r) {
    const StoreRow row = store.row(r);
    counts.gist_tokens.add(row.gist_tokens);
    counts.prompt_tokens.add(row.prompt_tokens);
  }
  counts.bytes = fs::file_size(store.path());
  return counts;
}

/// The attribute holds JSON as text.
ordered_json template_of(const StoreHeader& header) {
  return ordered_json_in(header.prompt_template).value_or(header.prompt_template);
}

/// Null where there are no rows.
ordered_json as_json(const Spread& spread, const Counts& counts) {
  if (counts.rows == 0) return nullptr;
  return {{"min", spread.least}, {"mean", counts.per_row(spread.total)}, {"max", spread.most}};
}

ordered_json as_json(const StoreHeader& header, const Counts& counts) {
  ordered_json json = to_json(header);
  json["template"] = template_of(header);
  json.update({{"rows", counts.rows},
               {"total_gist_tokens", counts.gist_tokens.total},
               {"gist_tokens_per_row", as_json(counts.gist_tokens, counts)},
               {"total_prompt_tokens", counts.prompt_tokens.total},
               {"prompt_tokens_per_row", as_json(counts.prompt_tokens, counts)},
               {"bytes", counts.bytes},
               {"bytes_per_row", nullptr},
               {"compression", nullptr}});
  if (counts.rows > 0) {
    json["bytes_per_row"] = counts.per_row(counts.bytes);
    json["compression"] = counts.compression();
  }
  return json;
}

std::string in_words(const Spread& spread, const Counts& counts) {
  if (counts.rows == 0) return "0";
  return fmt::format("{} (a row: min {}, mean {:.1f}, max {})", spread.total, spread.least,
                     counts.per_row(spread.total), spread.most);
}

std::string in_words(const StoreHeader& header, const Counts& counts) {
  std::string text;
  const auto add = [&text](std::string_view name, const std::string& value) {
    text += fmt::format("{:18}{}\n", name, value);
  };
  const std::uint64_t tokens = counts.gist_tokens.total;
  add("creator", printable(header.creator));
  add("family", printable(header.family));
  add("architecture", printable(header.architecture));
  add("condition", printable(header.condition));
  const bool one_id = header.gist_token.find("..") == std::string::npos;
  add("gist_token", fmt::format("{} ({} {})", printable(header.gist_token),
                                one_id ? "id" : "ids from", header.gist_token_id));
  add("gist_tokens", std::to_string(header.gist_tokens));
  add("key_position", printable(header.key_position));
  add("dtype", std::string(name_of(header.dtype)));
  const auto heads = [&](std::int64_t dim) {
    return fmt::format("[{}, {}, {}, {}]", tokens, header.n_layers, header.n_kv_heads, dim);
  };
  add("key", heads(header.key_dim));
  add("value", heads(header.value_dim));
  if (counts.hidden) add("hidden", fmt::format("[{}, {}]", tokens, header.d_model));
  add("rows", std::to_string(counts.rows));
  add("gist tokens", in_words(counts.gist_tokens, counts));
  add("prompt tokens", in_words(counts.prompt_tokens, counts));
  if (counts.rows > 0) {
    add("compression", fmt::format("{:.1f} prompt tokens a gist token", counts.compression()));
    add("bytes", fmt::format("{} (a row: {:.0f})", counts.bytes, counts.per_row(counts.bytes)));
  } else {
    add("bytes", std::to_string(counts.bytes));
  }
  add("model_sha256", printable(header.model_sha256));
  add("tokenizer_sha256", printable(header.tokenizer_sha256));
  add("template", text_of_json(template_of(header)));
  return text;
}

void print_rows(const GistStore& store, LineWriter& out) {
  for (std::uint64_t r = 0; r < store.rows() && !out.closed(); ++r) {
    const StoreRow row = store.row(r);
    out.line(text_of_json(ordered_json{{"id", row.id},
                                       {"row", r},
                                       {"ordinal", row.ordinal},
                                       {"position", row.position},
                                       {"prompt_tokens", row.prompt_tokens},
                                       {"gist_tokens", row.gist_tokens},
                                       {"prompt_sha256", to_hex(row.prompt_sha256)}}));
  }
}

/// Reads all of a store, in a process of its own where it isn't trusted; then it is.
void verify_store(const fs::path& path, StoreReading& reading) {
  spdlog::debug("verifying {}", path.string());
  const Stopwatch watch;
  std::uint64_t rows = 0;
  {
    RowsProgress progress("verifying " + path.string());
    const auto rows_done = [&](std::uint64_t done, std::uint64_t all) {
      rows = all;
      progress.update(done, all);
    };
    if (reading.trusted) {
      GistStore(path, reading).verify(rows_done);
    } else {
      check_file(path, FileCheck::store_chunks, rows_done);
      reading.trusted = true;
    }
  }
  spdlog::debug("{} verified in {}; {}", counted(rows, "row"), duration_in_words(watch.seconds()),
                path.string());
}

int run_inspect(const Options& options) {
  if (options.positional().size() != 1) {
    fail(ErrorKind::usage, "gist inspect needs one PATH, a gist store; found {}",
         options.positional().size());
  }
  const bool rows = options.flag("rows");
  const bool json = options.flag("json");
  const bool verify = options.flag("verify");
  if (rows && json) {
    fail(ErrorKind::usage, "--rows and --json: --rows prints JSON lines by itself; give one");
  }
  const fs::path path = options.positional()[0];
  refuse_what_is_no_store(path);
  StoreReading reading = store_reading(options);
  if (verify) verify_store(path, reading);
  const GistStore store(path, reading);

  LineWriter out = standard_output();
  if (rows) {
    print_rows(store, out);
  } else if (json) {
    ordered_json object = as_json(store.header(), counts_of(store));
    if (verify) object["verified"] = true;
    out.line(text_of_json(object));
  } else {
    out.text(in_words(store.header(), counts_of(store)));
    if (verify) {
      out.line(
          fmt::format("verified: the index and every chunk of {}", counted(store.rows(), "row")));
    }
  }
  out.flush();
  return exit_ok;
}

}  // namespace

Command inspect_command() {
  return {{"inspect",
           "PATH [--verify] [--rows | --json]",
           "say what a gist store holds",
           "PATH",
           {{"verify", OptionKind::flag, "", "",
             "read every chunk: checksums, finite values, the index; exits 65 at the first fault"},
            {"rows", OptionKind::flag, "", "", "print the index instead, a JSON object a row"},
            {"json", OptionKind::flag, "", "", "print header and counts as one JSON object"},
            trust_store_option()},
           "",
           "  gist inspect gists.h5 --verify\n"},
          run_inspect};
}

}  // namespace gist

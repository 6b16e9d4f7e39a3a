// Small vocabularies in tokenizer.json's format, and what PyPI's tokenizers makes of lines that are
// hard to cut (tests/interop/tokenizer_golden.py).
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "formats/files/decompressor.h"
#include "tests/formats/test_support.h"

namespace gist::testing {

/// {"lines": [...], "kinds": [{"name", "tokenizer", "results"}]}
inline const nlohmann::json& tokenizer_golden() {
  static const nlohmann::json golden = [] {
    const std::string path = (fixtures / "tokenizers/golden.json.gz").string();
    const std::string file = content_of(path);
    Decompressor decompressor(Compression::gzip, path);
    std::string text;
    for (std::string_view rest = file; !rest.empty() || decompressor.has_more();) {
      decompressor.step(rest, text);
    }
    decompressor.finish();
    return nlohmann::json::parse(text);
  }();
  return golden;
}

inline const nlohmann::json& golden_kind(const std::string& name) {
  for (const nlohmann::json& kind : tokenizer_golden()["kinds"]) {
    if (kind["name"] == name) return kind;
  }
  throw std::runtime_error("no golden " + name);
}

}  // namespace gist::testing

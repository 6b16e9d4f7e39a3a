// What gist's tokenizers make of texts, for check_tokenizers.py. TOKENIZER is a directory or a
// vocabulary file.
// usage: tokenized_texts TOKENIZER ids       reads JSON strings, one a line; writes [ids, decoded]
//        tokenized_texts TOKENIZER speed     reads JSON strings; writes MB a second of one
//                                            thread's processor time, and such seconds to open
#include <cstdio>
#include <ctime>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "formats/model/tokenizer.h"

namespace {

using nlohmann::json;

std::vector<std::string> texts() {
  std::vector<std::string> lines;
  for (std::string line; std::getline(std::cin, line);) {
    lines.push_back(json::parse(line).get<std::string>());
  }
  return lines;
}

void write_ids(const gist::Tokenizer& tokenizer) {
  for (const std::string& text : texts()) {
    const std::vector<std::int32_t> ids = tokenizer.encode(text);
    std::cout << json{ids, tokenizer.decode(ids)}.dump() << '\n';
  }
}

double processor_seconds() {
  return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

void write_speed(const gist::Tokenizer& tokenizer, double opening) {
  const std::vector<std::string> lines = texts();
  std::size_t bytes = 0, tokens = 0;
  const double begin = processor_seconds();
  for (const std::string& text : lines) {
    bytes += text.size();
    tokens += tokenizer.encode(text).size();
  }
  const double seconds = processor_seconds() - begin;
  std::cout << json{{"mb_per_second", static_cast<double>(bytes) / 1e6 / seconds},
                    {"tokens", tokens},
                    {"opening_seconds", opening}}
                   .dump()
            << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc == 3 ? argv[2] : "";
  if (what != "ids" && what != "speed") {
    std::fputs("usage: see tokenized_texts.cpp\n", stderr);
    return 64;
  }
  try {
    const double begin = processor_seconds();
    const gist::Tokenizer tokenizer = gist::Tokenizer::open(argv[1], {.trusted = true});
    const double opening = processor_seconds() - begin;
    if (what == "ids") write_ids(tokenizer);
    if (what == "speed") write_speed(tokenizer, opening);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "tokenized_texts: %s\n", error.what());
    return 65;
  }
}

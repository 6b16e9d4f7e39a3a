// Random damage to valid input: it is read, or refused with a gist::Error, and nothing else
// happens.
#include <algorithm>
#include <random>

#include "formats/files/text.h"
#include "formats/gguf/gguf_config.h"
#include "formats/gguf/gguf_tensors.h"
#include "formats/gguf/gguf_tokenizer.h"
#include "formats/model/model_directory.h"
#include "formats/model/safetensors.h"
#include "formats/model/tokenizer.h"
#include "formats/model/torch_file.h"
#include "formats/records/jsonl.h"
#include "tests/formats/gguf/gguf_bytes.h"
#include "tests/formats/model/safetensors_file.h"

namespace gist {
namespace {

using namespace gist::testing;

class Damage {
 public:
  explicit Damage(unsigned seed) : random_(seed) {}

  /// The bytes with one to four bytes or pieces changed, removed, doubled, or replaced by what
  /// parsers stumble over.
  std::string operator()(std::string bytes) {
    for (std::size_t changes = 1 + below(4); changes > 0; --changes) change(bytes);
    return bytes;
  }

 private:
  std::size_t below(std::size_t end) { return end == 0 ? 0 : random_() % end; }

  void change(std::string& bytes) {
    const std::size_t at = below(bytes.size());
    const std::size_t length = std::min<std::size_t>(1 + below(20), bytes.size() - at);
    switch (below(6)) {
      case 0:
        if (!bytes.empty()) bytes[at] = static_cast<char>(random_());
        break;
      case 1:
        if (!bytes.empty()) bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
        break;
      case 2:
        bytes.erase(at, length);
        break;
      case 3:
        bytes.insert(at, bytes.substr(at, length));
        break;
      case 4:
        bytes.resize(at);
        break;
      default:
        bytes.insert(at, tokens[below(tokens.size())]);
    }
  }

  static constexpr std::array<std::string_view, 16> tokens = {"{",
                                                              "}",
                                                              "[",
                                                              "]",
                                                              "\"",
                                                              "\\",
                                                              ",",
                                                              ":",
                                                              "-1",
                                                              "1e999",
                                                              "18446744073709551616",
                                                              "9223372036854775807",
                                                              "null",
                                                              "\xC0\x80",
                                                              "\\ud800",
                                                              "0"};
  std::mt19937 random_;
};

struct Outcome {
  int read = 0;
  int refused = 0;
};

/// Anything but a gist::Error ends the test. Messages are one line of UTF-8.
template <typename Read>
Outcome read_damaged(const std::string& valid, int times, Read&& read) {
  Damage damage(20'230'417);
  Outcome outcome;
  read(valid);
  for (int i = 0; i < times; ++i) {
    const std::string bytes = damage(valid);
    const std::optional<Error> error = error_of([&] { read(bytes); });
    if (error) {
      const std::string_view message = error->what();
      EXPECT_EQ(message.find('\n'), std::string_view::npos) << message;
      EXPECT_TRUE(valid_utf8(message));
    }
    ++(error ? outcome.refused : outcome.read);
  }
  EXPECT_GT(outcome.refused, times / 10);
  return outcome;
}

/// Sums all bytes, so that one outside of the mapping is met.
unsigned sum_of(const TensorFile& file) {
  unsigned sum = 0;
  for (const auto& [name, entry] : file.tensors) {
    for (std::size_t i = 0; i < entry.bytes; ++i) sum += static_cast<unsigned>(entry.data[i]);
  }
  return sum;
}

TEST(HostileInput, DamagedSafetensorsAreReadOrRefused) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory / "file.safetensors";
  const std::string valid =
      safetensors_bytes(R"({"__metadata__":{"format":"pt"},)"
                        R"("model.a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
                        R"("model.b":{"dtype":"BF16","shape":[4],"data_offsets":[24,32]}}  )",
                        std::string(32, 'x'));
  const Outcome outcome = read_damaged(valid, 4000, [&](const std::string& bytes) {
    write_file(path, bytes);
    sum_of(read_safetensors(path));
  });
  EXPECT_GT(outcome.read, 0);
}

TEST(HostileInput, DamagedTorchFilesAreReadOrRefused) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory / "file.bin";
  const std::string valid = content_of(fixtures / "torch/parameter.bin");
  const Outcome outcome = read_damaged(valid, 4000, [&](const std::string& bytes) {
    write_file(path, bytes);
    sum_of(read_torch_file(path));
  });
  EXPECT_GT(outcome.read, 0);
}

TEST(HostileInput, DamagedGgufFilesAreReadOrRefused) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory / "file.gguf";
  const std::string block(34, 'x');
  const std::string valid =
      GgufBytes()
          .text("general.architecture", "llama")
          .integer("llama.embedding_length", 32)
          .integer("llama.feed_forward_length", 32)
          .integer("llama.block_count", 1)
          .integer("llama.attention.head_count", 2)
          .integer("llama.context_length", 64)
          .real("llama.attention.layer_norm_rms_epsilon", 1e-5F)
          .text("tokenizer.ggml.model", "llama")
          .texts("tokenizer.ggml.tokens", {"<unk>", "<s>", "</s>", "a"})
          .numbers<float>("tokenizer.ggml.scores", GgufKind::f32, {0, 0, 0, -1})
          .numbers<std::int32_t>("tokenizer.ggml.token_type", GgufKind::i32, {2, 3, 3, 1})
          .tensor("token_embd.weight", {32, 4}, 8, block + block + block + block)
          .tensor("blk.0.attn_q.weight", {32, 4}, 8, block + block + block + block)
          .tensor("rope_freqs.weight", {2}, 0, std::string(8, 'x'))
          .tensor("output_norm.weight", {32}, 0, std::string(128, 'x'))
          .bytes();
  int tokenizers = 0;
  const Outcome outcome = read_damaged(valid, 3000, [&](const std::string& bytes) {
    write_file(path, bytes);
    // Each by itself, as an error in one hides the others.
    error_of([&] { gguf_config(read_gguf_file(path)); });
    tokenizers += error_of([&] { gguf_tokenizer(read_gguf_file(path)); }) ? 0 : 1;
    const TensorFile file = gguf_tensors(read_gguf_file(path));
    for (const auto& [name, tensor] : file.tensors) {
      if (tensor.as_f32) tensor.as_f32();
    }
    sum_of(file);
  });
  EXPECT_GT(outcome.read, 0);
  EXPECT_GT(tokenizers, 0);
}

TEST(HostileInput, DamagedConfigsAreReadOrRefused) {
  const TemporaryDirectory directory;
  const std::string valid = content_of(fixtures / "models/stories260K/config.json");
  const Outcome outcome = read_damaged(valid, 3000, [&](const std::string& bytes) {
    write_file(directory / "config.json", bytes);
    read_config_json(directory.path());
  });
  EXPECT_GT(outcome.read, 0);
}

TEST(HostileInput, DamagedGistSettingsAreReadOrRefused) {
  const TemporaryDirectory directory;
  write_gist_json(directory.path(), {});
  const std::string valid = content_of(directory / "gist.json");
  const Outcome outcome = read_damaged(valid, 3000, [&](const std::string& bytes) {
    write_file(directory / "gist.json", bytes);
    read_gist_json(directory.path());
  });
  EXPECT_GT(outcome.read, 0);
}

TEST(HostileInput, DamagedRecordsAreReadOrRefusedAndStayJsonWithFieldsAdded) {
  const std::string valid =
      R"({"id": "a1", "instruction": "Écris — \u00e9\n", "n": [1, -2.5e10, {"x": null}], "t": true})";
  const Outcome outcome = read_damaged(valid, 5000, [&](const std::string& bytes) {
    const Record record = parse_record(bytes, "input", 1, 0);
    const std::string extended = with_fields(record, {{"added field", 1}}, "input");
    EXPECT_EQ(parse_record(extended, "input", 1, 0).fields.size(), record.fields.size() + 1);
  });
  EXPECT_GT(outcome.read, 0);
}

TEST(HostileInput, DamagedTokenizersAreReadOrRefused) {
  const TemporaryDirectory directory;
  const std::string valid = content_of(fixtures / "models/stories260K/tokenizer.model");
  const Outcome outcome = read_damaged(valid, 1000, [&](const std::string& bytes) {
    write_file(directory / "tokenizer.model", bytes);
    Tokenizer::open(directory.path(), {.trusted = true}).encode("Once upon a time, \xC3\xA9");
  });
  EXPECT_GT(outcome.read, 0);
}

}  // namespace
}  // namespace gist

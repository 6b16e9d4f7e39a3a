#include "formats/files/decompressor.h"

#include <zlib.h>
#include <zstd.h>

#include "tests/formats/test_support.h"

namespace gist {
namespace {

using namespace gist::testing;

std::string gzip_of(const std::string& text) {
  z_stream stream{};
  deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string zstd_of(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 1));
  return out;
}

/// All of a file that comes in pieces of so many bytes.
std::string decompressed(Compression compression, std::string_view file, std::size_t piece) {
  Decompressor decompressor(compression, "FILE");
  std::string out;
  for (std::size_t begin = 0; begin < file.size(); begin += piece) {
    std::string_view input = file.substr(begin, piece);
    while (!input.empty() || decompressor.has_more()) {
      const std::size_t before = out.size();
      decompressor.step(input, out);
      EXPECT_LE(out.size() - before, Decompressor::step_bytes);
    }
  }
  decompressor.finish();
  return out;
}

struct Format {
  Compression compression;
  const char* name;
  std::string (*compress)(const std::string&);
};

class DecompressorTest : public ::testing::TestWithParam<Format> {};

INSTANTIATE_TEST_SUITE_P(Formats, DecompressorTest,
                         ::testing::Values(Format{Compression::gzip, "gzip", gzip_of},
                                           Format{Compression::zstd, "zstd", zstd_of}),
                         [](const auto& format) { return format.param.name; });

std::string numbers(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += std::to_string(i) + "\n";
  return text;
}

TEST_P(DecompressorTest, GivesTheBytesWhateverThePieces) {
  for (const std::string& text :
       {std::string(), std::string("a"), numbers(60'000), std::string(1 << 24, 'x'),
        std::string(Decompressor::step_bytes, 'x'),
        std::string(2 * Decompressor::step_bytes, 'x')}) {
    const std::string file = GetParam().compress(text);
    for (const std::size_t piece :
         {std::size_t{1}, std::size_t{1000}, std::size_t{1} << 16, file.size()}) {
      EXPECT_TRUE(decompressed(GetParam().compression, file, piece) == text) << text.size();
    }
  }
}

TEST_P(DecompressorTest, TakesFilesOneBehindTheOtherForOne) {
  const std::string one = GetParam().compress(numbers(1000));
  const std::string none = GetParam().compress("");
  const std::string file = one + none + one;
  for (const std::size_t piece : {std::size_t{1}, one.size(), file.size()}) {
    EXPECT_EQ(decompressed(GetParam().compression, file, piece), numbers(1000) + numbers(1000));
  }
}

TEST_P(DecompressorTest, RefusesWhatIsTruncatedAtAnyByte) {
  const std::string file = GetParam().compress(numbers(50));
  for (std::size_t size = 0; size < file.size(); ++size) {
    expect_error(ErrorKind::data, GetParam().name,
                 [&] { decompressed(GetParam().compression, file.substr(0, size), 1 << 16); });
  }
}

TEST_P(DecompressorTest, RefusesWhatIsNoSuchFileOrHasSomethingElseBehindIt) {
  const std::string whole = GetParam().compress(numbers(50));
  for (const std::string& file : {numbers(50), whole + "and so on", "x" + whole}) {
    expect_error(ErrorKind::data, std::string("FILE: damaged, or no ") + GetParam().name + " file",
                 [&] { decompressed(GetParam().compression, file, 1 << 16); });
  }
}

TEST_P(DecompressorTest, DamageIsRefusedOrGivesOtherBytesAndNothingElse) {
  const std::string file = GetParam().compress(numbers(200));
  for (std::size_t at = 0; at < file.size(); ++at) {
    for (const char flip : {'\x01', '\x80', '\xFF'}) {
      std::string damaged = file;
      damaged[at] = static_cast<char>(damaged[at] ^ flip);
      const auto error = error_of([&] { decompressed(GetParam().compression, damaged, 100); });
      EXPECT_EQ(error.value_or(Error(ErrorKind::data, "")).kind(), ErrorKind::data);
    }
  }
}

TEST_P(DecompressorTest, KnowsAFileByItsFirstBytes) {
  EXPECT_EQ(compression_in(GetParam().compress("text")), GetParam().compression);
  for (const char* text : {"", "{", "[", "\x1F", "text"}) {
    EXPECT_EQ(compression_in(text), Compression::none);
  }
}

TEST(Gzip, TakesNoNoticeOfZeroBytesBehindAFile) {
  const std::string one = gzip_of(numbers(50));
  const std::string padded = one + std::string(3 * Decompressor::step_bytes, '\0');
  for (const std::size_t piece : {std::size_t{1}, one.size(), one.size() + 1, padded.size()}) {
    EXPECT_EQ(decompressed(Compression::gzip, padded, piece), numbers(50));
    EXPECT_EQ(decompressed(Compression::gzip, one + std::string(5, '\0') + one, piece),
              numbers(50) + numbers(50));
  }
  for (const std::string& file :
       {std::string(5, '\0'), std::string(5, '\0') + one, one + std::string(5, '\0') + "more"}) {
    expect_error(ErrorKind::data, "FILE: damaged, or no gzip file",
                 [&] { decompressed(Compression::gzip, file, 1 << 16); });
  }
}

TEST(Zstd, SkipsFramesThatHoldNoData) {
  using namespace std::string_literals;
  const std::string note = "\x5A\x2A\x4D\x18\x04\0\0\0note"s;
  const std::string none = "\x50\x2A\x4D\x18\0\0\0\0"s;
  const std::string one = zstd_of(numbers(50));
  for (const std::string& file : {note + one, one + note, none + one + none + note}) {
    for (const std::size_t piece : {std::size_t{1}, file.size()}) {
      EXPECT_EQ(decompressed(Compression::zstd, file, piece), numbers(50));
    }
    EXPECT_EQ(compression_in(file), Compression::zstd);
  }
  EXPECT_EQ(decompressed(Compression::zstd, note, 1), "");
  expect_error(ErrorKind::data, "truncated",
               [&] { decompressed(Compression::zstd, one + note.substr(0, 9), 1 << 16); });
}

TEST(Zstd, RefusesZeroBytesBehindAFileAsItsOwnProgramDoes) {
  expect_error(ErrorKind::data, "FILE: damaged, or no zstd file", [] {
    decompressed(Compression::zstd, zstd_of("a") + std::string(8, '\0'), 1 << 16);
  });
}

TEST_P(DecompressorTest, SaysWhatElseAFileIs) {
  const auto refused = [](const std::string& file) -> std::string {
    return error_of([&] { decompressed(GetParam().compression, file, 1 << 16); })->what();
  };
  const bool gzip = GetParam().compression == Compression::gzip;
  EXPECT_THAT(refused(gzip ? zstd_of("a") : gzip_of("a")),
              ::testing::HasSubstr(gzip ? "name it *.zst" : "name it *.gz"));
  EXPECT_THAT(refused("{}\n{}\n"), ::testing::HasSubstr("it is text"));
}

TEST(Compression, IsNamedByAPathsEnd) {
  EXPECT_EQ(compression_of("a.jsonl.gz"), Compression::gzip);
  EXPECT_EQ(compression_of("a.zst"), Compression::zstd);
  EXPECT_EQ(compression_of("a.gz.jsonl"), Compression::none);
  EXPECT_EQ(without_compression("b/a.tsv.zst"), "b/a.tsv");
  EXPECT_EQ(without_compression("a.tsv"), "a.tsv");
}

}  // namespace
}  // namespace gist

#include "formats/files/sha256.h"

#include "tests/formats/test_support.h"

namespace gist {
namespace {

using namespace gist::testing;

// FIPS 180-4, the standard's own example.
constexpr std::string_view abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(Sha256, OfAbcIsTheStandardsExample) {
  EXPECT_EQ(to_hex(sha256("abc")), abc);
}

TEST(Sha256, OfPiecesEqualsThatOfTheWhole) {
  Sha256Stream stream;
  stream.update("a");
  stream.update("");
  stream.update("bc");
  EXPECT_EQ(to_hex(stream.finish()), abc);
}

TEST(Sha256, OfAFileEqualsThatOfItsBytes) {
  const TemporaryDirectory directory;
  const std::string content(3'000'000, 'x');
  write_file(directory / "x", content);
  EXPECT_EQ(sha256_of_file(directory / "x"), sha256(content));
}

TEST(Sha256, OfAMissingFileIsAnError) {
  const TemporaryDirectory directory;
  expect_error(ErrorKind::no_input, "absent", [&] { sha256_of_file(directory / "absent"); });
}

}  // namespace
}  // namespace gist

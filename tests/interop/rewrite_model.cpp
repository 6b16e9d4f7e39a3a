// Reads a model directory and writes its weights again, sharded. usage: rewrite_model IN OUT
// MAX_SHARD_BYTES
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "formats/model/checkpoint.h"
#include "formats/model/safetensors.h"
#include "kernels/error.h"

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fputs("usage: rewrite_model IN OUT MAX_SHARD_BYTES\n", stderr);
    return 64;
  }
  try {
    const std::filesystem::path out = argv[2];
    const gist::Checkpoint checkpoint(argv[1]);
    const gist::WeightSource source = checkpoint.source();
    std::vector<gist::NamedTensor> tensors;
    for (const auto& [name, entry] : checkpoint.tensors()) {
      tensors.push_back({name, source.find(name).value()});
    }
    std::filesystem::create_directories(out);
    gist::write_safetensors(out, tensors, std::stoul(argv[3]));
    for (const auto& file : std::filesystem::directory_iterator(argv[1])) {
      if (file.path().extension() == ".safetensors") continue;
      std::filesystem::copy(file, out / file.path().filename());
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "rewrite_model: %s\n", error.what());
    return 70;
  }
}

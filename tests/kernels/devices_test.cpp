#include "kernels/devices.h"

#include <gtest/gtest.h>

#include "kernels/error.h"

namespace gist {
namespace {

ErrorKind kind_of_error(const std::string& name, const DeviceOptions& options) {
  try {
    open_device(name, options);
  } catch (const Error& error) {
    return error.kind();
  }
  return ErrorKind::internal;
}

TEST(Devices, BeginWithTheProcessor) {
  const DeviceList list = find_devices();
  ASSERT_FALSE(list.devices.empty());
  EXPECT_EQ(list.devices[0].name, "cpu");
  EXPECT_EQ(list.devices[0].unusable, "");
  EXPECT_EQ(list.no_cuda.empty(), list.devices.size() > 1);
}

TEST(Devices, AreOpenedByName) {
  DeviceOptions options;
  options.threads = 1;
  EXPECT_EQ(open_device("cpu", options)->name(), "cpu");
  for (const char* name : {"", "gpu", "cuda", "cuda:", "cuda:-1", "cuda:x", "cuda:99999999999"}) {
    EXPECT_EQ(kind_of_error(name, options), ErrorKind::usage) << name;
  }
  EXPECT_EQ(kind_of_error("cuda:9999", options), ErrorKind::unavailable);
}

TEST(Devices, RoundToTf32OnNoProcessor) {
  DeviceOptions options;
  options.allow_tf32 = true;
  EXPECT_EQ(kind_of_error("cpu", options), ErrorKind::usage);
}

}  // namespace
}  // namespace gist

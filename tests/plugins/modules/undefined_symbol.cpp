#include "gist/plugin.h"

extern "C" const char* gist_test_symbol_that_nobody_defines();

const gist_plugin_info gist_plugin = {GIST_PLUGIN_MAGIC,
                                      GIST_ABI_MAJOR,
                                      GIST_ABI_MINOR,
                                      sizeof(gist_plugin_info),
                                      1,
                                      nullptr,
                                      gist_test_symbol_that_nobody_defines(),
                                      "1"};

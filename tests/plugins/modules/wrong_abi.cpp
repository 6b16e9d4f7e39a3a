// The manifest says the right ABI, the symbol another.
#include "gist/plugin.h"

const gist_plugin_info gist_plugin = {
    GIST_PLUGIN_MAGIC, 9, GIST_ABI_MINOR, sizeof(gist_plugin_info), 1, nullptr, "wrong_abi", "1"};

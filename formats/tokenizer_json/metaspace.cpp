#include "formats/tokenizer_json/metaspace.h"

namespace gist {

MetaspaceSettings metaspace_settings(const JsonPart& part) {
  using Prepend = MetaspaceSettings::Prepend;
  part.allow({"type", "replacement", "str_rep", "prepend_scheme", "add_prefix_space", "split"});
  MetaspaceSettings settings;
  settings.replacement = part.member("replacement").character();
  const JsonPart scheme = part.member("prepend_scheme");
  const std::string name = scheme.is_null() ? "always" : scheme.text();
  if (name == "first") {
    settings.prepend = Prepend::first;
  } else if (name == "never") {
    settings.prepend = Prepend::never;
  } else if (name != "always") {
    scheme.refuse("always, first or never");
  }
  // Older files have this alone.
  if (!part.member("add_prefix_space").flag(true)) {
    if (!scheme.is_null() && settings.prepend != Prepend::never) {
      scheme.refuse("\"never\", as \"add_prefix_space\" is false");
    }
    settings.prepend = Prepend::never;
  }
  return settings;
}

}  // namespace gist

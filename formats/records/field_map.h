// Where a data set has the fields that gist reads, if under other names or within others:
//
//     instruction=prompt,output=answer                                          other names
//     instruction=messages.system,input=messages.user,output=messages.assistant chat messages
//     instruction=task.text,input=messages.user.last                            objects; of several
//
// A path is the name of a field. Behind a dot stands the name of a member, if the field is an
// object; if it is a list of messages, {"role": R, "content": TEXT} or {"from": R, "value": TEXT},
// the role of the message whose text is meant. There must be one of that role only; ".first" or
// ".last" behind it takes one of several. A field whose name has dots in it is found by its name.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace gist {

struct FieldPath {
  std::string text;                // "messages.user.last"
  std::vector<std::string> steps;  // {"messages", "user", "last"}
};

/// The name that gist has for a field -> where the record has it.
using FieldMap = std::map<std::string, FieldPath, std::less<>>;

/// "NAME=PATH,NAME=PATH". Throws Error(usage), naming --fields, for anything else, and for a name
/// given twice.
FieldMap parse_field_map(const std::string& list);

/// The value of an object at a path; null where there is none. `place` ("FILE:LINE") begins the
/// message of the Error(data) that it throws where several messages have the role, or a list has
/// something else than messages.
const nlohmann::json* value_at(const nlohmann::json& object, const FieldPath& path,
                               const std::string& place);

/// The value of a record's field `name`: at its path, if the map has one. A field that the map
/// gives another name has its own no more; and of a map without "input", a record without "input"
/// has an empty one, because many data sets have no inputs. Null where there is none. Throws as
/// value_at does.
const nlohmann::json* mapped_field(const nlohmann::json& record, const FieldMap& map,
                                   std::string_view name, const std::string& place);

}  // namespace gist

// The root group's attributes.
#include <algorithm>

#include "formats/files/text.h"
#include "formats/store/hdf5.h"
#include "kernels/error.h"

namespace gist::hdf5 {
namespace {

/// An attribute in an object header takes less than 64 KiB, name and type included.
constexpr std::size_t longest_string = 65000;

struct Attribute {
  Handle id;
  Handle type;
  std::string what;  // for messages
};

Attribute open_attribute(const File& file, const char* name, H5T_class_t type_class,
                         std::string_view expected) {
  Attribute attribute;
  attribute.what = fmt::format("attribute {}", name);
  if (!has_attribute(file, name)) {
    fail(ErrorKind::data, "{}: {} is missing", file.name(), attribute.what);
  }
  attribute.id = Handle(H5Aopen(file.id(), name, H5P_DEFAULT));
  if (!attribute.id) file.fail_reading(attribute.what);
  attribute.type = Handle(H5Aget_type(attribute.id.get()));
  const Handle space(H5Aget_space(attribute.id.get()));
  if (!attribute.type || !space) file.fail_reading(attribute.what);
  if (H5Tget_class(attribute.type.get()) != type_class ||
      H5Sget_simple_extent_npoints(space.get()) != 1) {
    fail(ErrorKind::data, "{}: {} is not {}", file.name(), attribute.what, expected);
  }
  return attribute;
}

/// HDF5 allocates strings of variable length itself.
struct VariableString {
  explicit VariableString(hid_t type) : type_(type), space_(H5Screate(H5S_SCALAR)) {}
  VariableString(const VariableString&) = delete;
  VariableString& operator=(const VariableString&) = delete;
  ~VariableString() {
    if (text != nullptr) H5Dvlen_reclaim(type_, space_.get(), H5P_DEFAULT, &text);
  }
  char* text = nullptr;

 private:
  hid_t type_;
  Handle space_;
};

std::string read_variable_string(const File& file, const Attribute& attribute) {
  const Handle memory(H5Tcopy(H5T_C_S1));
  // The character set must be the file's: HDF5 doesn't convert between ASCII and UTF-8.
  if (H5Tset_size(memory.get(), H5T_VARIABLE) < 0 ||
      H5Tset_cset(memory.get(), H5Tget_cset(attribute.type.get())) < 0) {
    file.fail_reading(attribute.what);
  }
  VariableString value(memory.get());
  if (H5Aread(attribute.id.get(), memory.get(), &value.text) < 0) {
    file.fail_reading(attribute.what);
  }
  return value.text == nullptr ? "" : value.text;
}

std::string read_fixed_string(const File& file, const Attribute& attribute) {
  const std::size_t size = H5Tget_size(attribute.type.get());
  if (size > file.bytes()) {
    fail(ErrorKind::data, "{}: {} claims {} bytes, more than the file has", file.name(),
         attribute.what, size);
  }
  std::string text(size, '\0');
  if (H5Aread(attribute.id.get(), attribute.type.get(), text.data()) < 0) {
    file.fail_reading(attribute.what);
  }
  if (H5Tget_strpad(attribute.type.get()) == H5T_STR_NULLTERM)
    text.resize(text.find('\0') == std::string::npos ? size : text.find('\0'));
  if (H5Tget_strpad(attribute.type.get()) == H5T_STR_SPACEPAD) {
    text.erase(text.find_last_not_of(' ') + 1);
  }
  text.erase(text.find_last_not_of('\0') + 1);
  return text;
}

void write_attribute(const File& file, const char* name, hid_t type, hid_t memory_type,
                     const void* value) {
  const Handle space(H5Screate(H5S_SCALAR));
  const Handle attribute(H5Acreate2(file.id(), name, type, space.get(), H5P_DEFAULT, H5P_DEFAULT));
  file.check_written(attribute ? H5Awrite(attribute.get(), memory_type, value) : -1, name);
}

}  // namespace

bool has_attribute(const File& file, const char* name) {
  const QuietErrors quiet;
  const htri_t found = H5Aexists(file.id(), name);
  if (found < 0) file.fail_reading(fmt::format("attribute {}", name));
  return found > 0;
}

std::string read_string(const File& file, const char* name) {
  const QuietErrors quiet;
  const Attribute attribute = open_attribute(file, name, H5T_STRING, "one string");
  const htri_t variable = H5Tis_variable_str(attribute.type.get());
  if (variable < 0) file.fail_reading(attribute.what);
  std::string text =
      variable > 0 ? read_variable_string(file, attribute) : read_fixed_string(file, attribute);
  if (!valid_utf8(text)) {
    fail(ErrorKind::data, "{}: {} is not UTF-8", file.name(), attribute.what);
  }
  return text;
}

std::int64_t read_integer(const File& file, const char* name) {
  const QuietErrors quiet;
  const Attribute attribute = open_attribute(file, name, H5T_INTEGER, "one integer");
  std::int64_t value = 0;
  if (H5Aread(attribute.id.get(), H5T_NATIVE_INT64, &value) < 0) {
    file.fail_reading(attribute.what);
  }
  return value;
}

void write_string(const File& file, const char* name, const std::string& text) {
  if (text.size() > longest_string) {
    fail(ErrorKind::data, "{}: attribute {} has {} bytes, a store holds at most {}", file.name(),
         name, text.size(), longest_string);
  }
  const QuietErrors quiet;
  const Handle type(H5Tcopy(H5T_C_S1));
  file.check_written(H5Tset_size(type.get(), std::max<std::size_t>(1, text.size())), name);
  file.check_written(H5Tset_strpad(type.get(), H5T_STR_NULLPAD), name);
  file.check_written(H5Tset_cset(type.get(), H5T_CSET_UTF8), name);
  write_attribute(file, name, type.get(), type.get(), text.c_str());
}

void write_integer(const File& file, const char* name, std::int64_t value) {
  const QuietErrors quiet;
  write_attribute(file, name, H5T_STD_I64LE, H5T_NATIVE_INT64, &value);
}

}  // namespace gist::hdf5

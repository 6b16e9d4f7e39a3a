#include "formats/model/torch_pickle.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "formats/files/text.h"
#include "kernels/error.h"

namespace gist {
namespace {

constexpr std::size_t max_values = 1'000'000;
constexpr std::size_t max_dimensions = 16;  // more than any model's tensor has

/// By the letters of pickletools.py.
enum class Opcode : unsigned char {
  mark = '(',
  stop = '.',
  binint = 'J',
  binint1 = 'K',
  binint2 = 'M',
  none = 'N',
  binpersid = 'Q',
  reduce = 'R',
  binunicode = 'X',
  build = 'b',
  global = 'c',
  empty_dict = '}',
  binget = 'h',
  long_binget = 'j',
  binput = 'q',
  long_binput = 'r',
  setitem = 's',
  tuple = 't',
  empty_tuple = ')',
  setitems = 'u',
  proto = 0x80,
  tuple1 = 0x85,
  tuple2 = 0x86,
  tuple3 = 0x87,
  newtrue = 0x88,
  newfalse = 0x89,
  long1 = 0x8a,
  short_binunicode = 0x8c,
  stack_global = 0x93,
  memoize = 0x94,
  frame = 0x95,
};

/// What a pickle may name: functions that make values, and kinds of storages.
enum class Named : std::uint8_t { ordered_dict, rebuild_tensor, rebuild_parameter, storage };

struct Known {
  std::string_view module, name;
  Named what;
  std::string_view dtype{};
};
constexpr std::array known_names = std::to_array<Known>({
    {"collections", "OrderedDict", Named::ordered_dict},
    {"torch._utils", "_rebuild_tensor_v2", Named::rebuild_tensor},
    {"torch._utils", "_rebuild_parameter", Named::rebuild_parameter},
    {"torch", "FloatStorage", Named::storage, "F32"},
    {"torch", "HalfStorage", Named::storage, "F16"},
    {"torch", "BFloat16Storage", Named::storage, "BF16"},
    {"torch", "DoubleStorage", Named::storage, "F64"},
    {"torch", "LongStorage", Named::storage, "I64"},
    {"torch", "IntStorage", Named::storage, "I32"},
    {"torch", "ShortStorage", Named::storage, "I16"},
    {"torch", "CharStorage", Named::storage, "I8"},
    {"torch", "ByteStorage", Named::storage, "U8"},
    {"torch", "BoolStorage", Named::storage, "BOOL"},
});

/// Values stand in a list and are called by their places in it: one that is in several others, or in
/// itself, is there once, and nothing here follows values in values further than a tensor's shape.
using Handle = std::uint32_t;

enum class ValueKind : std::uint8_t {
  none,
  boolean,
  integer,
  text,
  tuple,
  dict,
  global,
  storage,
  tensor
};

constexpr std::array value_names = {
    "None",      "a bool",  "an int", "a string", "a tuple", "a dict", "a function or class",
    "a storage", "a tensor"};

struct Value {
  ValueKind kind = ValueKind::none;
  std::int64_t integer = 0;     // also: which of known_names, and the index of a tensor
  std::string_view text{};      // also: a storage's key
  std::vector<Handle> items{};  // of a tuple; of a dict keys and values in turns
};

class StateDictReader {
 public:
  StateDictReader(std::string_view pickle, const std::string& where)
      : pickle_(pickle), where_(where) {}

  std::map<std::string, PickledTensor> read() {
    while (step()) {
    }
    return state_dict(pop());
  }

 private:
  template <typename... Args>
  [[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) const {
    fail(ErrorKind::data, "{}: byte {}: {}", where_, at_,
         fmt::format(format, std::forward<Args>(args)...));
  }

  // --- bytes

  std::string_view bytes(std::uint64_t count) {
    if (count > pickle_.size() - at_) refuse("the pickle ends too early");
    const std::string_view taken = pickle_.substr(at_, count);
    at_ += count;
    return taken;
  }

  template <typename T>
  T number() {
    T value{};
    std::memcpy(&value, bytes(sizeof value).data(), sizeof value);
    return value;
  }

  std::string_view line() {
    const std::size_t end = pickle_.find('\n', at_);
    if (end == std::string_view::npos) refuse("the pickle ends too early");
    const std::string_view text = bytes(end - at_);
    bytes(1);
    return text;
  }

  /// A little-endian integer in two's complement.
  std::int64_t long_integer() {
    const std::string_view digits = bytes(number<std::uint8_t>());
    if (digits.size() > sizeof(std::int64_t)) refuse("an integer of {} bytes", digits.size());
    std::uint64_t value = !digits.empty() && (digits.back() & 0x80) != 0 ? ~std::uint64_t{0} : 0;
    if (!digits.empty()) std::memcpy(&value, digits.data(), digits.size());
    return static_cast<std::int64_t>(value);
  }

  // --- values

  /// No reference to another value outlives this.
  void push(Value value) {
    if (values_.size() >= max_values) refuse("more than {} values", max_values);
    stack_.push_back(static_cast<Handle>(values_.size()));
    values_.push_back(std::move(value));
  }

  /// The stack as far as the last mark.
  std::size_t bottom() const { return marks_.empty() ? 0 : marks_.back(); }

  void require_on_stack(std::size_t count) const {
    if (stack_.size() - bottom() < count) refuse("an operation lacks its operands");
  }

  Handle pop() {
    require_on_stack(1);
    const Handle top = stack_.back();
    stack_.pop_back();
    return top;
  }

  std::vector<Handle> pop(std::size_t count) {
    require_on_stack(count);
    const auto first = stack_.end() - static_cast<std::ptrdiff_t>(count);
    std::vector<Handle> items(first, stack_.end());
    stack_.erase(first, stack_.end());
    return items;
  }

  std::vector<Handle> pop_to_mark() {
    if (marks_.empty()) refuse("an operation lacks its mark");
    std::vector<Handle> items = pop(stack_.size() - marks_.back());
    marks_.pop_back();
    return items;
  }

  Value& top() {
    require_on_stack(1);
    return values_[stack_.back()];
  }

  const Value& expect(Handle handle, ValueKind kind, const char* what) const {
    const Value& value = values_[handle];
    if (value.kind != kind) {
      refuse("{} should be {}, but is {}", what, value_names[static_cast<std::size_t>(kind)],
             name_of(value));
    }
    return value;
  }

  static const char* name_of(const Value& value) {
    return value_names[static_cast<std::size_t>(value.kind)];
  }

  std::int64_t size_in(Handle handle, const char* what) const {
    const std::int64_t size = expect(handle, ValueKind::integer, what).integer;
    if (size < 0) refuse("{} is negative: {}", what, size);
    return size;
  }

  std::vector<std::int64_t> sizes_in(Handle handle, const char* what) const {
    const Value& tuple = expect(handle, ValueKind::tuple, what);
    if (tuple.items.size() > max_dimensions) refuse("{} has {} parts", what, tuple.items.size());
    std::vector<std::int64_t> sizes;
    for (const Handle item : tuple.items) sizes.push_back(size_in(item, what));
    return sizes;
  }

  // --- operations

  void memoize(std::size_t place) {
    require_on_stack(1);
    if (place >= max_values) refuse("more than {} values", max_values);
    if (place >= memo_.size()) memo_.resize(place + 1);
    memo_[place] = stack_.back();
  }

  void recall(std::size_t place) {
    if (place >= memo_.size() || !memo_[place]) refuse("value {} of the memo isn't there", place);
    stack_.push_back(*memo_[place]);
  }

  void name(std::string_view module, std::string_view called) {
    const auto* const known =
        std::find_if(known_names.begin(), known_names.end(), [&](const Known& candidate) {
          return candidate.module == module && candidate.name == called;
        });
    if (known == known_names.end()) {
      refuse("names {}, which a state dict has no need of; gist runs no code of checkpoints",
             in_quotes(fmt::format("{}.{}", module, called)));
    }
    push({ValueKind::global, known - known_names.begin()});
  }

  void name_from_stack() {
    const std::vector<Handle> names = pop(2);
    name(expect(names[0], ValueKind::text, "a module's name").text,
         expect(names[1], ValueKind::text, "a name").text);
  }

  const Known& known(Handle handle, const char* what) const {
    const Value& value = expect(handle, ValueKind::global, what);
    return known_names[static_cast<std::size_t>(value.integer)];
  }

  /// ("storage", torch.FloatStorage, key, device, elements)
  void load_storage() {
    const std::vector<Handle>& id = expect(pop(), ValueKind::tuple, "a persistent id").items;
    if (id.size() != 5 || expect(id[0], ValueKind::text, "a persistent id").text != "storage") {
      refuse("a persistent id that is no storage's");
    }
    const Known& type = known(id[1], "a storage's type");
    if (type.what != Named::storage) refuse("{}.{} is no type of storage", type.module, type.name);
    const std::string_view key = expect(id[2], ValueKind::text, "a storage's key").text;
    push({ValueKind::storage, size_in(id[4], "a storage's size"), key, {id[1]}});
  }

  /// (storage, offset, shape, strides, requires_grad, hooks) and perhaps metadata
  void make_tensor(const std::vector<Handle>& arguments) {
    if (arguments.size() < 4) refuse("a tensor of {} arguments", arguments.size());
    const Value& storage = expect(arguments[0], ValueKind::storage, "a tensor's storage");
    PickledTensor tensor;
    tensor.dtype = known(storage.items[0], "a storage's type").dtype;
    tensor.storage = storage.text;
    tensor.storage_elements = storage.integer;
    tensor.offset = size_in(arguments[1], "a tensor's offset");
    tensor.shape = sizes_in(arguments[2], "a tensor's shape");
    tensor.strides = sizes_in(arguments[3], "a tensor's strides");
    if (tensor.shape.size() != tensor.strides.size()) {
      refuse("a tensor of {} dimensions with {} strides", tensor.shape.size(),
             tensor.strides.size());
    }
    push({ValueKind::tensor, static_cast<std::int64_t>(tensors_.size())});
    tensors_.push_back(std::move(tensor));
  }

  void call() {
    const std::vector<Handle>& arguments = expect(pop(), ValueKind::tuple, "arguments").items;
    const Known& function = known(pop(), "what is called");
    switch (function.what) {
      case Named::ordered_dict:
        if (!arguments.empty()) refuse("OrderedDict with {} arguments", arguments.size());
        return push({ValueKind::dict});
      case Named::rebuild_tensor:
        return make_tensor(arguments);
      case Named::rebuild_parameter:
        if (arguments.empty()) refuse("a parameter without arguments");
        expect(arguments[0], ValueKind::tensor, "a parameter's data");
        return stack_.push_back(arguments[0]);
      case Named::storage:
        refuse("calls {}.{}", function.module, function.name);
    }
  }

  void set_items(const std::vector<Handle>& items) {
    if (items.size() % 2 != 0) refuse("a key without a value");
    Value& dict = top();
    if (dict.kind != ValueKind::dict) refuse("items of {}, which should be a dict", name_of(dict));
    dict.items.insert(dict.items.end(), items.begin(), items.end());
  }

  /// Attributes, as the _metadata of a module's state dict: they change no tensor.
  void set_attributes() {
    expect(pop(), ValueKind::dict, "what is built of");
    if (top().kind != ValueKind::dict) refuse("builds {}", name_of(top()));
  }

  /// Whether there is more.
  bool step() {
    const auto opcode = static_cast<Opcode>(number<unsigned char>());
    switch (opcode) {
      case Opcode::stop:
        return false;
      case Opcode::proto:
        if (const auto version = number<std::uint8_t>(); version < 2 || version > 5) {
          refuse("protocol {} of pickles, which torch doesn't write", version);
        }
        break;
      case Opcode::frame:
        bytes(sizeof(std::uint64_t));
        break;
      case Opcode::mark:
        marks_.push_back(stack_.size());
        break;
      case Opcode::none:
        push({});
        break;
      case Opcode::newtrue:
      case Opcode::newfalse:
        push({ValueKind::boolean});
        break;
      case Opcode::binint:
        push({ValueKind::integer, number<std::int32_t>()});
        break;
      case Opcode::binint1:
        push({ValueKind::integer, number<std::uint8_t>()});
        break;
      case Opcode::binint2:
        push({ValueKind::integer, number<std::uint16_t>()});
        break;
      case Opcode::long1:
        push({ValueKind::integer, long_integer()});
        break;
      case Opcode::binunicode:
        push({ValueKind::text, 0, bytes(number<std::uint32_t>())});
        break;
      case Opcode::short_binunicode:
        push({ValueKind::text, 0, bytes(number<std::uint8_t>())});
        break;
      case Opcode::empty_tuple:
        push({ValueKind::tuple});
        break;
      case Opcode::tuple:
        push({ValueKind::tuple, 0, {}, pop_to_mark()});
        break;
      case Opcode::tuple1:
      case Opcode::tuple2:
      case Opcode::tuple3: {
        const auto count =
            static_cast<std::size_t>(opcode) - static_cast<std::size_t>(Opcode::tuple1);
        push({ValueKind::tuple, 0, {}, pop(count + 1)});
        break;
      }
      case Opcode::empty_dict:
        push({ValueKind::dict});
        break;
      case Opcode::setitem:
        set_items(pop(2));
        break;
      case Opcode::setitems:
        set_items(pop_to_mark());
        break;
      case Opcode::build:
        set_attributes();
        break;
      case Opcode::global: {
        const std::string_view module = line();
        name(module, line());
        break;
      }
      case Opcode::stack_global:
        name_from_stack();
        break;
      case Opcode::reduce:
        call();
        break;
      case Opcode::binpersid:
        load_storage();
        break;
      case Opcode::binput:
        memoize(number<std::uint8_t>());
        break;
      case Opcode::long_binput:
        memoize(number<std::uint32_t>());
        break;
      case Opcode::memoize:
        memoize(memo_.size());
        break;
      case Opcode::binget:
        recall(number<std::uint8_t>());
        break;
      case Opcode::long_binget:
        recall(number<std::uint32_t>());
        break;
      default:
        refuse("opcode 0x{:02x} of pickles, which a state dict has no need of",
               static_cast<unsigned>(opcode));
    }
    return true;
  }

  std::map<std::string, PickledTensor> state_dict(Handle result) const {
    const std::vector<Handle>& items =
        expect(result, ValueKind::dict, "a checkpoint's content").items;
    std::map<std::string, PickledTensor> named;
    for (std::size_t i = 0; i < items.size(); i += 2) {
      std::string key(expect(items[i], ValueKind::text, "a tensor's name").text);
      if (!valid_utf8(key)) fail(ErrorKind::data, "{}: {} is no UTF-8", where_, in_quotes(key));
      const Value& value = values_[items[i + 1]];
      if (value.kind != ValueKind::tensor) {
        fail(ErrorKind::data, "{}: has {} under {}, where a state dict has a tensor", where_,
             name_of(value), in_quotes(key));
      }
      const PickledTensor& tensor = tensors_[static_cast<std::size_t>(value.integer)];
      const auto [at, added] = named.emplace(std::move(key), tensor);
      if (!added) fail(ErrorKind::data, "{}: has {} twice", where_, in_quotes(at->first));
    }
    return named;
  }

  std::string_view pickle_;
  const std::string& where_;
  std::size_t at_ = 0;
  std::vector<Value> values_;
  std::vector<PickledTensor> tensors_;
  std::vector<Handle> stack_;
  std::vector<std::size_t> marks_;  // sizes of the stack
  std::vector<std::optional<Handle>> memo_;
};

}  // namespace

std::map<std::string, PickledTensor> read_state_dict(std::string_view pickle,
                                                     const std::string& where) {
  return StateDictReader(pickle, where).read();
}

}  // namespace gist

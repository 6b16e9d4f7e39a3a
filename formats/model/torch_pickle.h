// The pickle in a file of torch.save, as far as a state dict needs it. A pickle is a program
// (https://github.com/python/cpython/blob/main/Lib/pickletools.py) that may call whatever Python has;
// of what it calls, this reader knows what makes tensors and dicts, does nothing but note their
// descriptions, and refuses everything else.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace gist {

/// A tensor is a view of a storage: element (i, j, ...) is the storage's element
/// offset + i * strides[0] + j * strides[1] + ...
struct PickledTensor {
  std::string_view dtype;                    // of the storage, as safetensors spells it; "F32"
  std::string_view storage;                  // the name of the storage's entry, without its folder
  std::int64_t storage_elements = 0;         // not negative
  std::int64_t offset = 0;                   // not negative, as are shape and strides
  std::vector<std::int64_t> shape, strides;  // as many of one as of the other
};

/// The tensors of a state dict by their names. Views point into `pickle`. `where` names it in
/// messages. Throws Error(data), saying what was found, for a pickle that needs anything else than a
/// state dict does, is damaged, or has no dict of tensors. Takes memory for at most a million values.
std::map<std::string, PickledTensor> read_state_dict(std::string_view pickle,
                                                     const std::string& where);

}  // namespace gist

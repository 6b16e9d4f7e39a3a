// Owners of what CUDA's libraries create, by the functions that free it.
#pragma once

#include <memory>
#include <type_traits>

namespace gist::cuda {

template <auto Destroy>
struct Destroyer {
  template <typename T>
  void operator()(T* handle) const {
    Destroy(handle);
  }
};

/// `Pointer` is the library's handle type, such as cudaGraph_t.
template <typename Pointer, auto Destroy>
using Owned = std::unique_ptr<std::remove_pointer_t<Pointer>, Destroyer<Destroy>>;

}  // namespace gist::cuda

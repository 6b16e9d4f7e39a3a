// Two plugins may both include this: an inline variable, which the linker would make one for the
// whole process if it were exported or unique.
#pragma once

template <typename T>
struct Counter {
  static inline int count = 0;
  static int next() {
    static int calls = 0;
    return ++calls + ++count;
  }
};

// What a kernel for CUDA devices is to its caller: a file, an instantiation, a shape. Also read by the device's compiler,
// which has no standard headers.
#pragma once

#ifdef __CUDACC_RTC__
typedef signed char int8_t;
typedef unsigned char uint8_t;
typedef short int16_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long long int64_t;
typedef unsigned long long uint64_t;
typedef unsigned long long uintptr_t;
#else
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <vector>
#endif

namespace retnet::device {

// Element types of inputs and outputs.
enum class Element : int32_t { f32 = 0, bf16 = 1, f16 = 2 };

#ifndef __CUDACC_RTC__

// Facts about a device that shapes depend on.
struct Limits {
  int32_t architecture;    // compute capability, 90 for 9.0
  int32_t multiprocessors;
  int32_t shared_bytes;    // the most that a block can have
};

struct Shape {
  int32_t grid[3] = {1, 1, 1};
  int32_t threads = 0;      // per block, along x
  int32_t shared_bytes = 0; // dynamic, per block
};

// An instantiation of a kernel and its shape for one launch.
struct Kernel {
  const char *file = nullptr; // "retention.cuh"
  char type[160] = {};        // "RetentionForward<bf16, 256, 64>", in namespace retnet::device
  Shape shape;
};

// The name of an element type in kernels.
inline const char *element_name(Element type) {
  return type == Element::f32 ? "float" : type == Element::bf16 ? "bf16" : "f16";
}

// Sets file and type. The format is that of printf.
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
inline void name_kernel(Kernel &kernel, const char *file, const char *format, ...) {
  kernel.file = file;
  va_list list;
  va_start(list, format);
  vsnprintf(kernel.type, sizeof(kernel.type), format, list);
  va_end(list);
}

// An instantiation for the checks of compiled code.
struct Instance {
  const char *operation;       // "retention, forward"
  Kernel kernel;               // its grid does not matter
  int32_t argument_bytes;
  int32_t registers;           // that a thread may have
  int32_t local_bytes = 0;     // that a thread may have in memory
};

#endif

} // namespace retnet::device

// Launches of emulated kernels.
#pragma once

#include <RetNetDeviceKernels/rules.h>

#include <string>

namespace retnet::emulation {

// The order in which blocks, warps and lanes run: ascending, descending, or changing with every wait (a seed from 2 on).
using Order = int32_t;

// A kernel that this program has compiled, by the name that rules give it.
struct Entry {
  std::string type;
  void (*run)(const void *arguments);
  int32_t threads, shared_bytes;
};
void add_entry(Entry entry);

// Adds a kernel in the constructor of a static object.
template <class Kernel> struct Registration {
  explicit Registration(const char *type) {
    add_entry({type,
               [](const void *arguments) {
                 Kernel::run(*static_cast<const typename Kernel::Arguments *>(arguments));
               },
               Kernel::threads, Kernel::shared_bytes});
  }
};

// Runs all blocks; returns what went wrong, or nothing.
std::string launch(const device::Kernel &kernel, const void *arguments, Order order);
std::string launch(const device::Plan &plan, Order order);

} // namespace retnet::emulation

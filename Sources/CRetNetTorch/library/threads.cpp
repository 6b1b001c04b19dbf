// ATen's parallel_for is a template that becomes a serial loop unless it is compiled with OpenMP, and a second OpenMP
// runtime next to LibTorch's would compete for the cores. So the loops enter the OpenMP runtime that LibTorch has
// already loaded.
#include "threads.h"

#include <ATen/Parallel.h>
#include <RetNetTrainingKernels/parallel.h>
#include <dlfcn.h>

namespace ctorch {
namespace {

using OpenMPRegion = void (*)(void (*)(void *), void *, unsigned, unsigned);
OpenMPRegion region = nullptr;

void run(void (*work)(void *), void *context, int64_t count) {
  region(work, context, static_cast<unsigned>(count), 0);
}

} // namespace

void install_thread_pool() {
  region = reinterpret_cast<OpenMPRegion>(dlsym(RTLD_DEFAULT, "GOMP_parallel"));
  retnet::set_thread_pool({[]() -> int64_t { return at::get_num_threads(); }, [] { return at::in_parallel_region(); },
                           region ? run : nullptr});
}

} // namespace ctorch

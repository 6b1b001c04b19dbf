// The CUDA driver, loaded at run time, and kernels on a device: compiled, kept in the cache, loaded and launched.
#pragma once

#include "compiler.h"
#include "cubin_cache.h"

#include <map>
#include <mutex>

namespace retnet::device {

// What is known of a compiled kernel.
struct Resources {
  int32_t registers;     // per thread
  int32_t local_bytes;   // per thread: spilled registers and arrays in memory
  int32_t static_shared; // bytes per block
  int32_t max_threads;   // per block
};

class Driver {
public:
  // Throws if functions are missing. `path` is for messages.
  Driver(const Resolver &resolve, std::string path);
  ~Driver();

  const std::string &path() const { return path_; }
  // 1000 major + 10 minor.
  int32_t version() const { return version_; }
  // Compute capability, multiprocessors and shared memory of a device.
  Limits limits(int32_t ordinal) const;

  // The driver of this process, loaded at the first call: the file that RETNET_CUDA_DRIVER names, else libcuda.so.1. Throws,
  // each time, if there is none.
  static const Driver &shared();

private:
  friend class Kernels;
  struct Functions;
  std::unique_ptr<Functions> f_;
  std::string path_;
  int32_t version_ = 0;

  void check(int result, const std::string &what) const;
  void make_current(int32_t ordinal) const;
};

// Kernels of this process on all its devices. Calls come from any thread.
class Kernels {
public:
  // An empty folder keeps nothing.
  Kernels(const Driver &driver, const Compiler &compiler, std::string cache_folder);

  const Limits &limits(int32_t ordinal);
  const CubinCache &cache() const { return cache_; }
  // Launches on a stream of the device. The first launch of a kernel compiles it or reads it from the cache, and loads it.
  template <class Arguments>
  void launch(const Kernel &kernel, const Arguments &arguments, int32_t ordinal, void *stream) {
    launch(kernel, &arguments, sizeof(Arguments), ordinal, stream);
  }
  void launch(const Kernel &kernel, const void *arguments, size_t argument_bytes, int32_t ordinal, void *stream);
  // Loads a kernel without launching it.
  Resources prepare(const Kernel &kernel, size_t argument_bytes, int32_t ordinal);
  // Programs compiled by this process, and those read from the cache.
  int64_t compiled() const { return compiled_; }
  int64_t cached() const { return cached_; }

  // The kernels of this process with the shared driver and compiler and the user's cache folder. Throws if one is missing.
  static Kernels &shared();

private:
  const Driver &driver_;
  const Compiler &compiler_;
  CubinCache cache_;
  std::mutex lock_;
  std::map<int32_t, Limits> limits_;
  std::map<std::string, void *> functions_; // by device and kernel
  int64_t compiled_ = 0, cached_ = 0;

  void *function(const Kernel &kernel, size_t argument_bytes, int32_t ordinal);
  void *load(const Kernel &kernel, size_t argument_bytes, int32_t ordinal);
  std::string code(const Kernel &kernel, size_t argument_bytes, const Target &target, bool refresh);
};

} // namespace retnet::device

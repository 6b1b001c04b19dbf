// The compiler of CUDA C++ that is loaded at run time (NVRTC), and what it compiles: kernels of this target.
//
// Nothing of CUDA is needed to build: the kernels travel as text, and the few functions of NVRTC are looked up by name.
#pragma once

#include "errors.h"
#include "kernel.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace retnet::device {

// A file of kernels, as it is given to the compiler.
struct SourceFile {
  const char *name;
  const char *text;
};
// All files that a kernel can include.
const std::vector<SourceFile> &source_files();

// A program of one kernel named `retnet_kernel`, which takes `argument_bytes` of arguments by value. The compiler checks
// that size, and the threads and shared memory of the shape, against the kernel's own.
std::string program_text(const Kernel &kernel, size_t argument_bytes);

// What a compiler makes for a device of compute capability `architecture`, 90 for 9.0.
struct Target {
  int32_t architecture;
  // Code for the device itself; otherwise PTX, which the driver translates: for devices newer than the compiler.
  bool is_native;
  // "sm_90a", or "compute_120" for PTX.
  std::string name() const;
};

struct Compiled {
  std::string code; // a cubin, or PTX with a final zero
  std::string log;
};

// Finds a function of a library by name, null if it has none.
using Resolver = std::function<void *(const char *name)>;

class Compiler {
public:
  // Throws if functions are missing. `path` is for messages.
  Compiler(const Resolver &resolve, std::string path);
  ~Compiler();

  // Major and minor, 1000 major + 10 minor.
  int32_t version() const { return version_; }
  const std::string &path() const { return path_; }
  Target target(int32_t architecture) const;
  // Options for the compiler that change the code; part of the name in the cache.
  std::vector<std::string> options(const Target &target) const;
  // `extra` options change nothing but the log. Throws with the compiler's own words.
  Compiled compile(const std::string &program, const Target &target, const std::vector<std::string> &extra = {}) const;

  // The compiler of this process, loaded at the first call: the file that RETNET_NVRTC names, else one in the given folders
  // (libraries and Python packages around LibTorch), else where the system looks. Throws, each time, if there is none.
  static const Compiler &shared();
  // Adds a folder for `shared` to look in.
  static void add_folder(const std::string &folder);

private:
  struct Functions;
  std::unique_ptr<Functions> f_;
  std::string path_;
  int32_t version_ = 0;
  std::vector<int> architectures_; // with code of their own
};

// Opens a shared library and keeps it for the rest of the process; its functions, or an empty function and the reason.
Resolver open_library(const std::string &path, std::string &reason);

} // namespace retnet::device

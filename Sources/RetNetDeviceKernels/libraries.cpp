// Shared libraries that are loaded at run time.
#include "RetNetDeviceKernels/compiler.h"

#include <dlfcn.h>

namespace retnet::device {

Resolver open_library(const std::string &path, std::string &reason) {
  // Never closed: functions of it stay in use until the process ends.
  void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char *text = dlerror();
    reason = text ? text : "it cannot be loaded";
    return {};
  }
  return [library](const char *name) { return dlsym(library, name); };
}

} // namespace retnet::device

// Errors of kernels for CUDA devices.
#pragma once

#include <stdexcept>
#include <string>

namespace retnet::device {

enum class ErrorKind {
  missing_library, // the driver or the compiler is not there, or is no such library
  compilation,     // the compiler refused a kernel
  driver,          // a call of the driver failed
};

struct Error : std::runtime_error {
  ErrorKind kind;
  Error(ErrorKind kind, const std::string &text) : std::runtime_error(text), kind(kind) {}
};

} // namespace retnet::device

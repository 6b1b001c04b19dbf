// Shared by the files of this target.
#pragma once

#include "include/device_stub.h"

#include <RetNetDeviceKernels/driver.h>
#include <RetNetDeviceKernels/rules.h>

#include <exception>
#include <string>

namespace stub {

inline thread_local std::string message, text;

// Runs the body; false, with the message, if it throws.
template <class Body> bool succeeds(Body &&body) {
  message.clear();
  try {
    body();
    return true;
  } catch (const std::exception &e) {
    message = e.what();
    return false;
  }
}

inline const char *kept(std::string value) {
  text = std::move(value);
  return text.c_str();
}

} // namespace stub

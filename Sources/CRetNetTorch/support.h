// Shared by every file of the interface: handles, the exception barrier, type maps.
#pragma once

#if !__has_include(<ATen/ATen.h>)
#error "LibTorch not found. Run `make setup` (installs it into .libtorch/) or set LIBTORCH to a folder that holds include/ and lib/."
#endif

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "ctorch.h"

struct ct_tensor_box {
  at::Tensor value;
};

struct ct_generator_box {
  at::Generator value;
};

namespace ctorch {

extern std::atomic<int64_t> live_tensors;

// An error raised inside a Swift callback: already recorded on the Swift side.
struct CallbackError : std::exception {
  const char *what() const noexcept override { return "a callback failed"; }
};

ct_status record_current_exception() noexcept;

// Runs `body`, turning every exception into a status. Nothing may leave this function by throwing.
template <class Body> ct_status guarded(Body &&body) noexcept {
  try {
    body();
    return CT_OK;
  } catch (...) {
    return record_current_exception();
  }
}

inline ct_tensor box(at::Tensor value) {
  auto *handle = new ct_tensor_box{std::move(value)};
  live_tensors.fetch_add(1, std::memory_order_relaxed);
  return handle;
}

inline std::optional<at::Tensor> optional(ct_tensor t) {
  return t ? std::optional<at::Tensor>(t->value) : std::nullopt;
}

inline at::Tensor maybe(ct_tensor t) { return t ? t->value : at::Tensor(); }

std::vector<at::Tensor> list(const ct_tensor *tensors, int32_t count);
at::ScalarType scalar_type(int32_t dtype);
int32_t dtype_code(at::ScalarType type);
c10::Device device_of(int32_t kind, int32_t index);
inline at::TensorOptions options(int32_t dtype, int32_t device, int32_t index) {
  return at::TensorOptions().dtype(scalar_type(dtype)).device(device_of(device, index));
}

} // namespace ctorch

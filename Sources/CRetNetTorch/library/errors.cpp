// The exception barrier with the last message of each thread, and conversions of the C types.
#include "support.h"

#include <new>
#include <string>

namespace ctorch {

std::atomic<int64_t> live_tensors{0};

namespace {
thread_local std::string last_message;

ct_status remember(ct_status kind, const char *text) noexcept {
  try {
    last_message = text;
  } catch (...) {
    last_message.clear();
  }
  return kind;
}
} // namespace

ct_status record_current_exception() noexcept {
  try {
    throw;
  } catch (const CallbackError &e) {
    return remember(CT_ERROR_CALLBACK, e.what());
  } catch (const c10::OutOfMemoryError &e) {
    return remember(CT_ERROR_OUT_OF_MEMORY, e.what_without_backtrace());
  } catch (const c10::IndexError &e) {
    return remember(CT_ERROR_INDEX, e.what_without_backtrace());
  } catch (const c10::ValueError &e) {
    return remember(CT_ERROR_VALUE, e.what_without_backtrace());
  } catch (const c10::TypeError &e) {
    return remember(CT_ERROR_TYPE, e.what_without_backtrace());
  } catch (const c10::NotImplementedError &e) {
    return remember(CT_ERROR_NOT_IMPLEMENTED, e.what_without_backtrace());
  } catch (const c10::Error &e) {
    const char *text = e.what_without_backtrace();
    // The CPU allocator reports exhaustion as a plain error.
    bool memory = std::string(text).find("allocate memory") != std::string::npos;
    return remember(memory ? CT_ERROR_OUT_OF_MEMORY : CT_ERROR_LIBTORCH, text);
  } catch (const std::bad_alloc &e) {
    return remember(CT_ERROR_OUT_OF_MEMORY, "the machine is out of memory");
  } catch (const std::exception &e) {
    return remember(CT_ERROR_OTHER, e.what());
  } catch (...) {
    return remember(CT_ERROR_OTHER, "unknown native error");
  }
}

std::vector<at::Tensor> list(const ct_tensor *tensors, int32_t count) {
  std::vector<at::Tensor> result;
  result.reserve(count);
  for (int32_t i = 0; i < count; i++)
    result.push_back(maybe(tensors[i]));
  return result;
}

at::ScalarType scalar_type(ct_dtype dtype) {
  switch (dtype) {
  case CT_UINT8: return at::kByte;
  case CT_INT8: return at::kChar;
  case CT_INT16: return at::kShort;
  case CT_INT32: return at::kInt;
  case CT_INT64: return at::kLong;
  case CT_FLOAT16: return at::kHalf;
  case CT_BFLOAT16: return at::kBFloat16;
  case CT_FLOAT32: return at::kFloat;
  case CT_FLOAT64: return at::kDouble;
  case CT_BOOL: return at::kBool;
  default: break;
  }
  TORCH_CHECK_VALUE(false, "unknown element type code ", dtype);
}

ct_dtype dtype_code(at::ScalarType type) {
  switch (type) {
  case at::kByte: return CT_UINT8;
  case at::kChar: return CT_INT8;
  case at::kShort: return CT_INT16;
  case at::kInt: return CT_INT32;
  case at::kLong: return CT_INT64;
  case at::kHalf: return CT_FLOAT16;
  case at::kBFloat16: return CT_BFLOAT16;
  case at::kFloat: return CT_FLOAT32;
  case at::kDouble: return CT_FLOAT64;
  case at::kBool: return CT_BOOL;
  default: return CT_OTHER_TYPE;
  }
}

c10::Device device_of(ct_device_kind kind, int32_t index) {
  switch (kind) {
  case CT_CPU: return c10::Device(c10::kCPU);
  case CT_CUDA: return c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(index));
  case CT_MPS: return c10::Device(c10::kMPS, 0);
  }
  TORCH_CHECK_VALUE(false, "unknown device code ", kind);
}

ct_device_kind device_kind(const c10::Device &device) {
  return device.is_cuda() ? CT_CUDA : device.is_mps() ? CT_MPS : CT_CPU;
}

} // namespace ctorch

const char *ct_error_message(void) { return ctorch::last_message.c_str(); }
int64_t ct_live_tensor_count(void) { return ctorch::live_tensors.load(); }

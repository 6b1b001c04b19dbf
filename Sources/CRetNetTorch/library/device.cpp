// Library facts, threads, devices, memory policy.
#include "memory.h"
#include "support.h"
#include "threads.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/detail/MPSHooksInterface.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <mutex>
#include <string>
#include <strings.h>
#include <torch/headeronly/version.h>

using namespace ctorch;

const char *ct_version_built(void) { return TORCH_VERSION; }

const char *ct_version_loaded(void) {
  static const std::string version = [] {
    // "PyTorch built with: ..." carries no number; show_config's TORCH_VERSION entry does.
    std::string config = at::show_config();
    auto at = config.find("TORCH_VERSION=");
    if (at == std::string::npos)
      return std::string("unknown");
    at += strlen("TORCH_VERSION=");
    return config.substr(at, config.find_first_of(", \n", at) - at);
  }();
  return version.c_str();
}

namespace ctorch {
std::string library_folder() {
  Dl_info info;
  if (!dladdr(reinterpret_cast<void *>(&at::get_num_threads), &info) || !info.dli_fname)
    return "";
  std::string path = info.dli_fname;
  return path.substr(0, path.rfind('/') + 1);
}
} // namespace ctorch

void ct_initialize(void) {
  static std::once_flag once;
  std::call_once(once, [] {
    install_allocator();
    install_thread_pool();
  });
}

void ct_cpu_description(char *buffer, int64_t capacity) {
  std::string text = at::get_cpu_capability();
  snprintf(buffer, capacity, "%s", text.c_str());
}

ct_status ct_set_threads(int32_t count) {
  return guarded([&] {
    TORCH_CHECK_VALUE(count >= 1, "the thread count must be at least 1, found ", count);
    at::set_num_threads(count);
  });
}

int32_t ct_threads(void) { return at::get_num_threads(); }

bool ct_cuda_load(char *reason, int64_t capacity) {
  static std::mutex lock;
  std::lock_guard<std::mutex> guard(lock);
  auto fail = [&](const char *text) {
    snprintf(reason, capacity, "%s", text);
    return false;
  };
  // The CUDA library registers its kernels when it is loaded; machines without it never pay for it.
  if (!at::detail::getCUDAHooks().hasCUDA()) {
    if (!dlopen((library_folder() + "libtorch_cuda.so").c_str(), RTLD_NOW | RTLD_GLOBAL)) {
      const char *text = dlerror();
      return fail(text ? text : "libtorch_cuda.so cannot be loaded");
    }
  }
  try {
    if (!at::globalContext().hasCUDA())
      return fail("this LibTorch has no CUDA support or the driver reports no device");
    if (at::detail::getCUDAHooks().deviceCount() < 1)
      return fail("no CUDA device is visible");
  } catch (const std::exception &e) {
    return fail(e.what());
  }
  return true;
}

int32_t ct_cuda_device_count(void) {
  try {
    return at::detail::getCUDAHooks().hasCUDA() ? static_cast<int32_t>(at::detail::getCUDAHooks().deviceCount()) : 0;
  } catch (...) {
    return 0;
  }
}

bool ct_mps_available(void) {
  try {
    return at::detail::getMPSHooks().hasMPS();
  } catch (...) {
    return false;
  }
}

ct_status ct_synchronize(ct_device_kind kind, int32_t index) {
  return guarded([&] {
    if (kind == CT_CPU)
      return;
    auto device = device_of(kind, index);
    c10::impl::VirtualGuardImpl(device.type()).synchronizeDevice(device.index());
  });
}

ct_status ct_peak_memory(int64_t *bytes, ct_device_kind kind, int32_t index) {
  return guarded([&] {
    *bytes = 0;
    auto device = device_of(kind, index);
    if (kind != CT_CUDA || !c10::getDeviceAllocator(device.type())->initialized())
      return;
    auto stats = c10::getDeviceAllocator(device.type())->getDeviceStats(device.index());
    *bytes = stats.allocated_bytes[static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE)].peak;
  });
}

#if defined(__x86_64__)
namespace {

// True if the environment limits oneDNN, which multiplies bfloat16 here, to instructions that cannot.
bool limited_below_bfloat16() {
  for (auto name : {"ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"}) {
    auto value = std::getenv(name);
    if (!value)
      continue;
    for (auto set : {"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI"})
      if (strcasecmp(value, set) == 0)
        return true;
    return false;
  }
  return false;
}

} // namespace
#endif

bool ct_supports_bfloat16(void) {
#if defined(__x86_64__)
  return (__builtin_cpu_supports("avx512bf16") || __builtin_cpu_supports("amx-bf16")) && !limited_below_bfloat16();
#elif defined(__aarch64__) && defined(__APPLE__)
  return true;
#else
  return false;
#endif
}

namespace ctorch {
namespace {
thread_local bool float32_products = false;
}
bool multiplies_bfloat16() {
  static const bool supported = ct_supports_bfloat16();
  return supported && !float32_products;
}
} // namespace ctorch

bool ct_multiplies_bfloat16(void) { return multiplies_bfloat16(); }

bool ct_set_float32_products(bool enabled) {
  bool before = float32_products;
  float32_products = enabled;
  return before;
}

ct_status ct_set_deterministic(bool enabled) {
  return guarded([&] { at::globalContext().setDeterministicAlgorithms(enabled, /*warn_only=*/true); });
}

// The CUDA driver: finds it, loads compiled kernels, launches them.
#include "RetNetDeviceKernels/driver.h"

#include <cstdlib>

namespace retnet::device {
namespace {

// Constants of the driver's interface (cuda.h).
constexpr int kSharedPerBlock = 97, kMultiprocessors = 16, kMajor = 75, kMinor = 76;      // CUdevice_attribute
constexpr int kMaxThreads = 0, kStaticShared = 1, kLocal = 3, kRegisters = 4, kDynamicShared = 8; // CUfunction_attribute
constexpr int kErrorLog = 5, kErrorLogSize = 6;                                           // CUjit_option

// Above this, a kernel has to ask for shared memory.
constexpr int32_t kFreelyShared = 48 << 10;

} // namespace

// The functions of the driver in use. Devices are integers, other handles pointers; results are 0 for success. Suffixed names
// are what cuda.h's plain ones stand for.
struct Driver::Functions {
  int (*init)(unsigned flags);
  int (*error_name)(int, const char **);
  int (*error_text)(int, const char **);
  int (*version)(int *);
  int (*device)(int *device, int ordinal);
  int (*attribute)(int *value, int attribute, int device);
  int (*retain_context)(void **context, int device);
  int (*current_context)(void **context);
  int (*set_context)(void *context);
  int (*load)(void **module, const void *image, unsigned count, int *options, void **values);
  int (*function)(void **function, void *module, const char *name);
  int (*function_attribute)(int *value, int attribute, void *function);
  int (*set_function_attribute)(void *function, int attribute, int value);
  int (*launch)(void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y,
                unsigned block_z, unsigned shared_bytes, void *stream, void **arguments, void **extra);
};

Driver::Driver(const Resolver &resolve, std::string path) : f_(new Functions), path_(std::move(path)) {
  auto &f = *f_;
  auto find = [&](auto *&function, const char *name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(resolve(name));
    if (!function)
      throw Error(ErrorKind::missing_library, "'" + path_ + "' is not a CUDA driver of version 11 or later: it has no function '" +
                                                  name + "'");
  };
  find(f.init, "cuInit");
  find(f.error_name, "cuGetErrorName");
  find(f.error_text, "cuGetErrorString");
  find(f.version, "cuDriverGetVersion");
  find(f.device, "cuDeviceGet");
  find(f.attribute, "cuDeviceGetAttribute");
  find(f.retain_context, "cuDevicePrimaryCtxRetain");
  find(f.current_context, "cuCtxGetCurrent");
  find(f.set_context, "cuCtxSetCurrent");
  find(f.load, "cuModuleLoadDataEx");
  find(f.function, "cuModuleGetFunction");
  find(f.function_attribute, "cuFuncGetAttribute");
  find(f.set_function_attribute, "cuFuncSetAttribute");
  find(f.launch, "cuLaunchKernel");
  check(f.init(0), "start");
  check(f.version(&version_), "say its version");
}

Driver::~Driver() = default;

void Driver::check(int result, const std::string &what) const {
  if (result == 0)
    return;
  const char *name = nullptr, *text = nullptr;
  f_->error_name(result, &name);
  f_->error_text(result, &text);
  throw Error(ErrorKind::driver, "the CUDA driver cannot " + what + ": " + (text ? text : "unknown error") + " (" +
                                     (name ? name : std::to_string(result).c_str()) + ")");
}

Limits Driver::limits(int32_t ordinal) const {
  int device = 0;
  auto name = "device " + std::to_string(ordinal);
  check(f_->device(&device, ordinal), "find " + name);
  auto attribute = [&](int which) {
    int value = 0;
    check(f_->attribute(&value, which, device), "describe " + name);
    return value;
  };
  return {attribute(kMajor) * 10 + attribute(kMinor), attribute(kMultiprocessors), attribute(kSharedPerBlock)};
}

void Driver::make_current(int32_t ordinal) const {
  void *context = nullptr;
  check(f_->current_context(&context), "name its context");
  if (context)
    return;
  // A thread that has not used the device yet. The primary context is LibTorch's, which keeps it.
  int device = 0;
  check(f_->device(&device, ordinal), "find device " + std::to_string(ordinal));
  check(f_->retain_context(&context, device), "open device " + std::to_string(ordinal));
  check(f_->set_context(context), "use device " + std::to_string(ordinal));
}

const Driver &Driver::shared() {
  static std::mutex lock;
  static std::unique_ptr<Driver> driver;
  std::lock_guard<std::mutex> guard(lock);
  if (!driver) {
    auto named = std::getenv("RETNET_CUDA_DRIVER");
    std::string path = named && *named ? named : "libcuda.so.1", reason;
    auto library = open_library(path, reason);
    if (!library)
      throw Error(ErrorKind::missing_library, "the CUDA driver was not found: " + reason +
                                                  "; install the driver of the GPU, and check that `nvidia-smi` works");
    driver = std::make_unique<Driver>(library, path);
  }
  return *driver;
}

Kernels::Kernels(const Driver &driver, const Compiler &compiler, std::string cache_folder)
    : driver_(driver), compiler_(compiler), cache_(std::move(cache_folder)) {}

Kernels &Kernels::shared() {
  static Kernels kernels(Driver::shared(), Compiler::shared(), CubinCache::standard_folder());
  return kernels;
}

const Limits &Kernels::limits(int32_t ordinal) {
  std::lock_guard<std::mutex> guard(lock_);
  auto place = limits_.find(ordinal);
  if (place == limits_.end())
    place = limits_.emplace(ordinal, driver_.limits(ordinal)).first;
  return place->second;
}

std::string Kernels::code(const Kernel &kernel, size_t argument_bytes, const Target &target, bool refresh) {
  auto program = program_text(kernel, argument_bytes);
  std::vector<std::string> parts{"nvrtc " + std::to_string(compiler_.version()), program};
  for (const auto &option : compiler_.options(target))
    parts.push_back(option);
  for (const auto &file : source_files()) {
    parts.push_back(file.name);
    parts.push_back(file.text);
  }
  auto key = cache_key(parts);
  if (auto known = refresh ? std::nullopt : cache_.read(key)) {
    cached_++;
    return *known;
  }
  auto code = compiler_.compile(program, target).code;
  compiled_++;
  cache_.write(key, code);
  return code;
}

void *Kernels::load(const Kernel &kernel, size_t argument_bytes, int32_t ordinal) {
  auto place = limits_.find(ordinal);
  if (place == limits_.end())
    place = limits_.emplace(ordinal, driver_.limits(ordinal)).first;
  auto target = compiler_.target(place->second.architecture);
  const auto &f = *driver_.f_;
  std::string log(4096, '\0');
  int options[] = {kErrorLog, kErrorLogSize};
  void *module = nullptr;
  auto load = [&](const std::string &image) {
    void *values[] = {log.data(), reinterpret_cast<void *>(log.size())};
    return f.load(&module, image.c_str(), 2, options, values);
  };
  int64_t before = cached_;
  int result = load(code(kernel, argument_bytes, target, false));
  // What the driver does not take may be code of the cache that another version of this package left there.
  if (result && cached_ > before)
    result = load(code(kernel, argument_bytes, target, true));
  std::string words = log.c_str();
  driver_.check(result, "load the kernel " + std::string(kernel.type) + (words.empty() ? "" : " (" + words + ")"));
  void *function = nullptr;
  driver_.check(f.function(&function, module, "retnet_kernel"), "find the kernel " + std::string(kernel.type));
  if (kernel.shape.shared_bytes > kFreelyShared)
    driver_.check(f.set_function_attribute(function, kDynamicShared, kernel.shape.shared_bytes),
                  "give " + std::to_string(kernel.shape.shared_bytes) + " bytes of shared memory to the kernel " + kernel.type);
  return function;
}

void *Kernels::function(const Kernel &kernel, size_t argument_bytes, int32_t ordinal) {
  auto name = std::to_string(ordinal) + " " + kernel.type;
  std::lock_guard<std::mutex> guard(lock_);
  driver_.make_current(ordinal);
  auto known = functions_.find(name);
  if (known == functions_.end())
    known = functions_.emplace(name, load(kernel, argument_bytes, ordinal)).first;
  return known->second;
}

void Kernels::launch(const Kernel &kernel, const void *arguments, size_t argument_bytes, int32_t ordinal, void *stream) {
  const auto &shape = kernel.shape;
  if (int64_t(shape.grid[0]) * shape.grid[1] * shape.grid[2] == 0)
    return;
  void *function = this->function(kernel, argument_bytes, ordinal);
  void *parameters[] = {const_cast<void *>(arguments)};
  driver_.check(driver_.f_->launch(function, unsigned(shape.grid[0]), unsigned(shape.grid[1]), unsigned(shape.grid[2]),
                                   unsigned(shape.threads), 1, 1, unsigned(shape.shared_bytes), stream, parameters, nullptr),
                "launch the kernel " + std::string(kernel.type));
}

Resources Kernels::prepare(const Kernel &kernel, size_t argument_bytes, int32_t ordinal) {
  void *function = this->function(kernel, argument_bytes, ordinal);
  auto attribute = [&](int which) {
    int value = 0;
    driver_.check(driver_.f_->function_attribute(&value, which, function), "describe the kernel " + std::string(kernel.type));
    return value;
  };
  return {attribute(kRegisters), attribute(kLocal), attribute(kStaticShared), attribute(kMaxThreads)};
}

} // namespace retnet::device

// A driver and a compiler that do nothing but record their calls, with the signatures of the real ones.
#include "stub.h"

#include <cstring>
#include <map>

using namespace retnet::device;

struct ds_machine {
  int32_t architecture;
  std::string calls;
  std::map<std::string, std::pair<int, int>> failures; // result and count by function
  bool has_context = false;
  int64_t handles = 0, argument_bytes = 0;
  std::map<void *, std::string> programs, codes; // by handle
  std::unique_ptr<Driver> driver;
  std::unique_ptr<Compiler> compiler;
};

struct ds_kernels {
  ds_machine *machine;
  Kernels kernels;
};

namespace {

thread_local ds_machine *machine;

// Notes a call; the result that a test wants, or success.
int called(const std::string &function, const std::string &details = "") {
  machine->calls += function + (details.empty() ? "" : " " + details) + "\n";
  auto failure = machine->failures.find(function);
  if (failure == machine->failures.end() || failure->second.second == 0)
    return 0;
  failure->second.second--;
  return failure->second.first;
}

void *new_handle() { return reinterpret_cast<void *>(++machine->handles); }
std::string number(const void *handle) { return std::to_string(reinterpret_cast<int64_t>(handle)); }

// ---- The driver ----
int init(unsigned) { return called("cuInit"); }
int error_name(int result, const char **name) {
  *name = result == 200 ? "CUDA_ERROR_INVALID_IMAGE" : result == 700 ? "CUDA_ERROR_ILLEGAL_ADDRESS" : nullptr;
  return 0;
}
int error_text(int result, const char **text) {
  *text = result == 200 ? "device kernel image is invalid"
          : result == 700 ? "an illegal memory access was encountered"
                          : nullptr;
  return 0;
}
int driver_version(int *version) {
  *version = 13000;
  return 0;
}
int device(int *device, int ordinal) {
  *device = ordinal;
  return called("cuDeviceGet", std::to_string(ordinal));
}
int attribute(int *value, int attribute, int) {
  const auto architecture = machine->architecture;
  *value = attribute == 75   ? architecture / 10
           : attribute == 76 ? architecture % 10
           : attribute == 16 ? 132
           : attribute == 97 ? 232448
                             : -1;
  return 0;
}
int retain_context(void **context, int device) {
  *context = new_handle();
  return called("cuDevicePrimaryCtxRetain", std::to_string(device));
}
int current_context(void **context) {
  *context = machine->has_context ? machine : nullptr;
  return 0;
}
int set_context(void *) {
  machine->has_context = true;
  return called("cuCtxSetCurrent");
}
int load(void **module, const void *image, unsigned count, int *options, void **values) {
  *module = new_handle();
  machine->codes[*module] = static_cast<const char *>(image);
  int result = called("cuModuleLoadDataEx", machine->codes[*module].substr(0, machine->codes[*module].find('\n')));
  for (unsigned i = 0; result && i < count; i++)
    if (options[i] == 5) // where the driver writes why
      strcpy(static_cast<char *>(values[i]), "ptxas says no");
  return result;
}
int function(void **function, void *module, const char *name) {
  *function = module;
  return called("cuModuleGetFunction", number(module) + " " + name);
}
int function_attribute(int *value, int attribute, void *) {
  *value = attribute;
  return 0;
}
int set_function_attribute(void *function, int attribute, int value) {
  return called("cuFuncSetAttribute", number(function) + " " + std::to_string(attribute) + " " + std::to_string(value));
}
int launch(void *function, unsigned x, unsigned y, unsigned z, unsigned bx, unsigned by, unsigned bz, unsigned shared,
           void *stream, void **arguments, void **extra) {
  std::string bytes;
  auto data = static_cast<const unsigned char *>(arguments[0]);
  for (int64_t i = 0; i < machine->argument_bytes; i++) {
    char digits[3];
    snprintf(digits, sizeof(digits), "%02x", data[i]);
    bytes += digits;
  }
  auto triple = [](unsigned a, unsigned b, unsigned c) {
    return std::to_string(a) + "," + std::to_string(b) + "," + std::to_string(c);
  };
  return called("cuLaunchKernel", number(function) + " grid " + triple(x, y, z) + " block " + triple(bx, by, bz) +
                                      " shared " + std::to_string(shared) + " stream " + number(stream) + " arguments " +
                                      bytes + (extra ? " extra" : ""));
}

// ---- The compiler ----
const char *compiler_error(int result) { return result == 6 ? "NVRTC_ERROR_COMPILATION" : "NVRTC_ERROR"; }
int compiler_version(int *major, int *minor) {
  *major = 13, *minor = 1;
  return 0;
}
constexpr int kArchitectures[] = {80, 90, 100, 120};
int architecture_count(int *count) {
  *count = 4;
  return 0;
}
int architectures(int *values) {
  std::copy(std::begin(kArchitectures), std::end(kArchitectures), values);
  return 0;
}
int create(void **program, const char *text, const char *, int headers, const char *const *, const char *const *names) {
  *program = new_handle();
  machine->programs[*program] = text;
  return called("nvrtcCreateProgram", std::to_string(headers) + " " + (headers ? names[0] : ""));
}
int destroy(void **program) {
  machine->programs.erase(*program);
  return called("nvrtcDestroyProgram");
}
int compile(void *program, int count, const char *const *options) {
  std::string all;
  for (int i = 0; i < count; i++)
    all += std::string(i ? " " : "") + options[i];
  machine->codes[program] = std::string(options[0]).substr(strlen("--gpu-architecture=")) + "\n" + machine->programs[program];
  return called("nvrtcCompileProgram", all);
}
constexpr char kLog[] = "line 1: what the compiler says";
int log_size(void *, size_t *size) {
  *size = sizeof(kLog);
  return 0;
}
int compiler_log(void *, char *text) {
  memcpy(text, kLog, sizeof(kLog));
  return 0;
}
int code_size(void *program, size_t *size) {
  *size = machine->codes[program].size() + 1;
  return 0;
}
int code(void *program, char *bytes) {
  memcpy(bytes, machine->codes[program].c_str(), machine->codes[program].size() + 1);
  return 0;
}

void *find(const char *name) {
  static const std::map<std::string, void *> functions{
      {"cuInit", (void *)init},
      {"cuGetErrorName", (void *)error_name},
      {"cuGetErrorString", (void *)error_text},
      {"cuDriverGetVersion", (void *)driver_version},
      {"cuDeviceGet", (void *)device},
      {"cuDeviceGetAttribute", (void *)attribute},
      {"cuDevicePrimaryCtxRetain", (void *)retain_context},
      {"cuCtxGetCurrent", (void *)current_context},
      {"cuCtxSetCurrent", (void *)set_context},
      {"cuModuleLoadDataEx", (void *)load},
      {"cuModuleGetFunction", (void *)function},
      {"cuFuncGetAttribute", (void *)function_attribute},
      {"cuFuncSetAttribute", (void *)set_function_attribute},
      {"cuLaunchKernel", (void *)launch},
      {"nvrtcGetErrorString", (void *)compiler_error},
      {"nvrtcVersion", (void *)compiler_version},
      {"nvrtcGetNumSupportedArchs", (void *)architecture_count},
      {"nvrtcGetSupportedArchs", (void *)architectures},
      {"nvrtcCreateProgram", (void *)create},
      {"nvrtcDestroyProgram", (void *)destroy},
      {"nvrtcCompileProgram", (void *)compile},
      {"nvrtcGetProgramLogSize", (void *)log_size},
      {"nvrtcGetProgramLog", (void *)compiler_log},
      {"nvrtcGetCUBINSize", (void *)code_size},
      {"nvrtcGetCUBIN", (void *)code},
      {"nvrtcGetPTXSize", (void *)code_size},
      {"nvrtcGetPTX", (void *)code},
  };
  auto place = functions.find(name);
  return place == functions.end() ? nullptr : place->second;
}

} // namespace

ds_machine *ds_machine_make(int32_t architecture) {
  auto made = new ds_machine{.architecture = architecture};
  machine = made;
  made->driver = std::make_unique<Driver>(find, "stub driver");
  made->compiler = std::make_unique<Compiler>(find, "stub compiler");
  made->calls.clear();
  return made;
}
void ds_machine_free(ds_machine *machine) { delete machine; }
void ds_fail(ds_machine *machine, const char *function, int32_t result, int32_t count) {
  machine->failures[function] = {result, count};
}
const char *ds_calls(ds_machine *machine) {
  auto calls = std::move(machine->calls);
  machine->calls.clear();
  return stub::kept(calls);
}

ds_kernels *ds_kernels_make(ds_machine *machine, const char *cache_folder) {
  return new ds_kernels{machine, Kernels(*machine->driver, *machine->compiler, cache_folder)};
}
void ds_kernels_free(ds_kernels *kernels) { delete kernels; }
bool ds_launch(ds_kernels *kernels, const char *type, const int32_t *grid, int32_t threads, int32_t shared_bytes,
               const void *arguments, int64_t argument_bytes, int32_t ordinal, int64_t stream) {
  machine = kernels->machine;
  machine->argument_bytes = argument_bytes;
  Kernel kernel;
  name_kernel(kernel, "test.cuh", "%s", type);
  kernel.shape = {{grid[0], grid[1], grid[2]}, threads, shared_bytes};
  return stub::succeeds([&] {
    kernels->kernels.launch(kernel, arguments, static_cast<size_t>(argument_bytes), ordinal, reinterpret_cast<void *>(stream));
  });
}
int64_t ds_compiled(ds_kernels *kernels) { return kernels->kernels.compiled(); }
int64_t ds_cached(ds_kernels *kernels) { return kernels->kernels.cached(); }

// Compiles kernels for the device at hand with NVRTC.
#include "RetNetDeviceKernels/compiler.h"

#include <algorithm>
#include <cstdlib>
#include <dlfcn.h>
#include <filesystem>
#include <mutex>

namespace retnet::device {

// The functions of NVRTC in use, as its documentation declares them; the handle of a program is a pointer, results are 0 for
// success.
struct Compiler::Functions {
  using Program = void *;
  const char *(*error)(int);
  int (*version)(int *major, int *minor);
  int (*architecture_count)(int *count);
  int (*architectures)(int *values);
  int (*create)(Program *, const char *text, const char *name, int headers, const char *const *header_texts,
                const char *const *header_names);
  int (*destroy)(Program *);
  int (*compile)(Program, int count, const char *const *options);
  int (*log_size)(Program, size_t *);
  int (*log)(Program, char *);
  int (*cubin_size)(Program, size_t *);
  int (*cubin)(Program, char *);
  int (*ptx_size)(Program, size_t *);
  int (*ptx)(Program, char *);
};

namespace {

template <class Function> void resolve_into(Function *&function, const Resolver &resolve, const char *name,
                                            const std::string &path) {
  function = reinterpret_cast<Function *>(resolve(name));
  if (!function)
    throw Error(ErrorKind::missing_library, "'" + path + "' is not NVRTC 11.2 or later: it has no function '" + name + "'");
}

// Names of the library without a folder, the newest first.
constexpr const char *kNames[] = {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"};

std::mutex folders_lock;
std::vector<std::string> &folders() {
  static std::vector<std::string> list;
  return list;
}

// Files that can be the library: in the folder itself, and in packages of Python beside the one that the folder is in.
std::vector<std::string> candidates(const std::string &folder) {
  namespace fs = std::filesystem;
  std::vector<std::string> result;
  std::error_code ignored;
  auto look_in = [&](const fs::path &place) {
    for (auto name : kNames)
      if (fs::exists(place / name, ignored))
        result.push_back((place / name).string());
  };
  look_in(folder);
  // site-packages/torch/lib -> site-packages/nvidia/*/lib
  auto packages = fs::path(folder) / ".." / ".." / "nvidia";
  std::vector<fs::path> found;
  for (fs::directory_iterator entry(packages, ignored), end; entry != end; entry.increment(ignored))
    found.push_back(entry->path());
  std::sort(found.begin(), found.end());
  for (const auto &package : found)
    look_in(package / "lib");
  return result;
}

// Opens NVRTC in a file. It looks for its second library, of built-in functions, by name alone, so that it finds only what is
// loaded already or lies where the system looks.
Resolver open_compiler(const std::string &path, std::string &reason) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  auto folder = fs::path(path).parent_path();
  if (!folder.empty())
    for (fs::directory_iterator entry(folder, ignored), end; entry != end; entry.increment(ignored)) {
      std::string unimportant;
      if (entry->path().filename().string().starts_with("libnvrtc-builtins.so"))
        open_library(entry->path().string(), unimportant);
    }
  return open_library(path, reason);
}

std::unique_ptr<Compiler> find_compiler() {
  std::string reason, reasons;
  if (auto path = std::getenv("RETNET_NVRTC"); path && *path) {
    auto library = open_compiler(path, reason);
    if (!library)
      throw Error(ErrorKind::missing_library, std::string("cannot load '") + path + "', which RETNET_NVRTC names: " + reason);
    return std::make_unique<Compiler>(library, path);
  }
  std::vector<std::string> paths;
  {
    std::lock_guard<std::mutex> guard(folders_lock);
    for (const auto &folder : folders())
      for (auto &path : candidates(folder))
        paths.push_back(std::move(path));
  }
  paths.insert(paths.end(), std::begin(kNames), std::end(kNames));
  paths.push_back("/usr/local/cuda/lib64/libnvrtc.so");
  for (const auto &path : paths) {
    if (auto library = open_compiler(path, reason))
      return std::make_unique<Compiler>(library, path);
    reasons = reasons.empty() ? reason : reasons;
  }
  throw Error(ErrorKind::missing_library,
              "the CUDA compiler libnvrtc was not found (" + reasons +
                  "); it comes with `RETNET_CUDA=1 make setup`, or name the file with RETNET_NVRTC");
}

} // namespace

std::string Target::name() const {
  // Hopper's own instructions need the name with an `a`; its code runs on that architecture alone, as all code does here.
  auto number = std::to_string(architecture);
  return is_native ? "sm_" + number + (architecture == 90 ? "a" : "") : "compute_" + number;
}

std::string program_text(const Kernel &kernel, size_t argument_bytes) {
  const auto &shape = kernel.shape;
  std::string text = "#include \"" + std::string(kernel.file) + "\"\n";
  text += "using namespace retnet::device;\n";
  text += "using Chosen = " + std::string(kernel.type) + ";\n";
  text += "static_assert(sizeof(Chosen::Arguments) == " + std::to_string(argument_bytes) + ", \"arguments\");\n";
  text += "static_assert(Chosen::threads == " + std::to_string(shape.threads) + ", \"threads\");\n";
  text += "static_assert(Chosen::shared_bytes == " + std::to_string(shape.shared_bytes) + ", \"shared memory\");\n";
  text += "extern \"C\" __global__ void __launch_bounds__(Chosen::threads, Chosen::min_blocks)\n"
          "retnet_kernel(const __grid_constant__ Chosen::Arguments arguments) { Chosen::run(arguments); }\n";
  return text;
}

Compiler::Compiler(const Resolver &resolve, std::string path) : f_(new Functions), path_(std::move(path)) {
  auto &f = *f_;
  resolve_into(f.error, resolve, "nvrtcGetErrorString", path_);
  resolve_into(f.version, resolve, "nvrtcVersion", path_);
  resolve_into(f.architecture_count, resolve, "nvrtcGetNumSupportedArchs", path_);
  resolve_into(f.architectures, resolve, "nvrtcGetSupportedArchs", path_);
  resolve_into(f.create, resolve, "nvrtcCreateProgram", path_);
  resolve_into(f.destroy, resolve, "nvrtcDestroyProgram", path_);
  resolve_into(f.compile, resolve, "nvrtcCompileProgram", path_);
  resolve_into(f.log_size, resolve, "nvrtcGetProgramLogSize", path_);
  resolve_into(f.log, resolve, "nvrtcGetProgramLog", path_);
  resolve_into(f.cubin_size, resolve, "nvrtcGetCUBINSize", path_);
  resolve_into(f.cubin, resolve, "nvrtcGetCUBIN", path_);
  resolve_into(f.ptx_size, resolve, "nvrtcGetPTXSize", path_);
  resolve_into(f.ptx, resolve, "nvrtcGetPTX", path_);
  int major = 0, minor = 0, count = 0;
  if (f.version(&major, &minor) != 0 || f.architecture_count(&count) != 0 || count < 1 || count > 1000)
    throw Error(ErrorKind::missing_library, "'" + path_ + "' does not say its version and architectures");
  version_ = 1000 * major + 10 * minor;
  architectures_.resize(count);
  if (f.architectures(architectures_.data()) != 0)
    throw Error(ErrorKind::missing_library, "'" + path_ + "' does not say its architectures");
  std::sort(architectures_.begin(), architectures_.end());
}

Compiler::~Compiler() = default;

Target Compiler::target(int32_t architecture) const {
  if (std::binary_search(architectures_.begin(), architectures_.end(), architecture))
    return {architecture, true};
  auto next = std::upper_bound(architectures_.begin(), architectures_.end(), architecture);
  if (next == architectures_.begin())
    throw Error(ErrorKind::compilation, "'" + path_ + "' cannot compile for compute capability " +
                                            std::to_string(architecture / 10) + "." + std::to_string(architecture % 10) +
                                            ": it begins with " + std::to_string(architectures_.front() / 10) + "." +
                                            std::to_string(architectures_.front() % 10));
  return {*(next - 1), false};
}

std::vector<std::string> Compiler::options(const Target &target) const {
  // No fast math: where a kernel means an approximate function, it names it.
  return {"--gpu-architecture=" + target.name(), "--std=c++17", "--device-as-default-execution-space"};
}

Compiled Compiler::compile(const std::string &program, const Target &target, const std::vector<std::string> &extra) const {
  const auto &f = *f_;
  std::vector<const char *> texts, names, options;
  for (const auto &file : source_files()) {
    texts.push_back(file.text);
    names.push_back(file.name);
  }
  auto all = this->options(target);
  all.insert(all.end(), extra.begin(), extra.end());
  for (const auto &option : all)
    options.push_back(option.c_str());
  auto failed = [&](int result, const std::string &text) {
    return Error(ErrorKind::compilation, "'" + path_ + "' cannot compile a kernel for " + target.name() + ": " +
                                             f.error(result) + (text.empty() ? "" : "\n" + text));
  };
  Functions::Program handle = nullptr;
  if (int result = f.create(&handle, program.c_str(), "retnet_kernel.cu", static_cast<int>(texts.size()), texts.data(),
                            names.data()))
    throw failed(result, "");
  struct Owner {
    const Functions &f;
    Functions::Program &handle;
    ~Owner() { f.destroy(&handle); }
  } owner{f, handle};

  int result = f.compile(handle, static_cast<int>(options.size()), options.data());
  Compiled compiled;
  size_t size = 0;
  if (f.log_size(handle, &size) == 0 && size > 1) {
    compiled.log.resize(size);
    if (f.log(handle, compiled.log.data()) != 0)
      compiled.log.clear();
    compiled.log.resize(std::min(compiled.log.size(), compiled.log.find('\0')));
  }
  if (result)
    throw failed(result, compiled.log);
  result = (target.is_native ? f.cubin_size : f.ptx_size)(handle, &size);
  if (result || size == 0)
    throw failed(result, "it gave no code");
  compiled.code.resize(size);
  if ((result = (target.is_native ? f.cubin : f.ptx)(handle, compiled.code.data())))
    throw failed(result, "it gave no code");
  return compiled;
}

const Compiler &Compiler::shared() {
  static std::mutex lock;
  static std::unique_ptr<Compiler> compiler;
  std::lock_guard<std::mutex> guard(lock);
  if (!compiler)
    compiler = find_compiler();
  return *compiler;
}

void Compiler::add_folder(const std::string &folder) {
  std::lock_guard<std::mutex> guard(folders_lock);
  auto &list = folders();
  if (std::find(list.begin(), list.end(), folder) == list.end())
    list.push_back(folder);
}

} // namespace retnet::device

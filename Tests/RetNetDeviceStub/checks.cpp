// Libraries, the cache and compiled code for tests in Swift.
#include "stub.h"

#include <cstring>

using namespace retnet::device;
using stub::kept;
using stub::succeeds;

const char *ds_error(void) { return stub::message.c_str(); }

namespace {

template <class Library> bool opens(const char *path) {
  return succeeds([&] {
    std::string reason;
    auto library = open_library(path, reason);
    if (!library)
      throw Error(ErrorKind::missing_library, reason);
    Library(library, path);
  });
}

} // namespace

bool ds_open_driver(const char *path) { return opens<Driver>(path); }
bool ds_open_compiler(const char *path) { return opens<Compiler>(path); }

const char *ds_digest(const char *bytes, int64_t count) { return kept(digest(std::string(bytes, size_t(count)))); }
const char *ds_cache_folder(const char *const *names, const char *const *values, int32_t count) {
  return kept(CubinCache::standard_folder([&](const char *name) -> const char * {
    for (int32_t i = 0; i < count; i++)
      if (strcmp(names[i], name) == 0)
        return values[i];
    return nullptr;
  }));
}
const char *ds_cache_path(const char *folder, const char *key) { return kept(CubinCache(folder).path(key)); }
bool ds_cache_write(const char *folder, const char *key, const char *code, int64_t count) {
  return CubinCache(folder).write(key, std::string(code, size_t(count)));
}
const char *ds_cache_read(const char *folder, const char *key, int64_t *count) {
  auto code = CubinCache(folder).read(key);
  if (!code)
    return nullptr;
  *count = int64_t(code->size());
  return kept(*code);
}

int32_t ds_source_count(void) { return int32_t(source_files().size()); }
const char *ds_source_name(int32_t index) { return source_files()[size_t(index)].name; }
const char *ds_source_text(int32_t index) { return source_files()[size_t(index)].text; }

// ---- Compiled code ----

namespace {

// Attributes of a kernel in a cubin: an ELF file whose sections `.nv.info` and `.nv.info.NAME` are lists of entries, each with
// a format, an attribute and a size or value.
constexpr uint8_t kSized = 4;
constexpr uint8_t kThreadLimit = 0x05, kFrame = 0x11, kParameters = 0x19, kRegisters = 0x2f;

template <class T> T at(const std::string &code, size_t offset) {
  T value{};
  if (offset > code.size() || code.size() - offset < sizeof(T))
    throw std::runtime_error("the cubin ends too early");
  memcpy(&value, code.data() + offset, sizeof(T));
  return value;
}

struct Section {
  std::string name;
  size_t offset, size;
};

std::vector<Section> sections(const std::string &code) {
  if (code.compare(0, 4, "\177ELF") != 0)
    throw std::runtime_error("this is no cubin");
  auto table = at<uint64_t>(code, 40);
  auto entry = at<uint16_t>(code, 58), count = at<uint16_t>(code, 60), names = at<uint16_t>(code, 62);
  auto text = at<uint64_t>(code, table + uint64_t(names) * entry + 24);
  std::vector<Section> result;
  for (uint16_t i = 0; i < count; i++) {
    size_t header = table + uint64_t(i) * entry;
    auto name = text + at<uint32_t>(code, header);
    at<char>(code, name);
    result.push_back({code.c_str() + name, at<uint64_t>(code, header + 24), at<uint64_t>(code, header + 32)});
  }
  return result;
}

void read_attributes(const std::string &code, const Section &section, ds_resources &resources) {
  for (size_t place = section.offset; place + 4 <= section.offset + section.size;) {
    auto format = at<uint8_t>(code, place), attribute = at<uint8_t>(code, place + 1);
    auto size = at<uint16_t>(code, place + 2);
    // Those of one symbol begin with its number.
    if (attribute == kRegisters)
      resources.registers = at<int32_t>(code, place + 8);
    if (attribute == kFrame)
      resources.local_bytes = std::max(resources.local_bytes, at<int32_t>(code, place + 8));
    if (attribute == kThreadLimit)
      resources.threads = at<int32_t>(code, place + 4);
    if (attribute == kParameters)
      resources.argument_bytes = size;
    place += 4 + (format == kSized ? size : 0);
  }
}

// The number before a phrase in the compiler's words, 0 without it.
int32_t number_before(const std::string &log, const std::string &phrase) {
  auto place = log.find(phrase);
  if (place == std::string::npos)
    return 0;
  auto start = place;
  while (start > 0 && isdigit(static_cast<unsigned char>(log[start - 1])))
    start--;
  return start == place ? 0 : std::stoi(log.substr(start, place - start));
}

void compile(const std::string &program, int32_t architecture, ds_resources &resources) {
  const auto &compiler = Compiler::shared();
  auto target = compiler.target(architecture);
  if (!target.is_native)
    throw std::runtime_error("the compiler does not know the architecture");
  auto compiled = compiler.compile(program, target, {"--ptxas-options=--verbose"});
  resources = {};
  resources.code_bytes = int64_t(compiled.code.size());
  bool has_words = compiled.log.find("spill stores") != std::string::npos;
  if (!has_words)
    throw std::runtime_error("the compiler does not say what it spilled: '" + compiled.log + "'");
  resources.spill_bytes = number_before(compiled.log, " bytes spill stores") + number_before(compiled.log, " bytes spill loads");
  for (const auto &section : sections(compiled.code)) {
    if (section.name == ".nv.info" || section.name == ".nv.info.retnet_kernel")
      read_attributes(compiled.code, section, resources);
    if (section.name == ".nv.shared.retnet_kernel")
      resources.static_shared = int32_t(section.size);
  }
}

} // namespace

int32_t ds_instance_count(void) { return int32_t(instances().size()); }
const char *ds_instance_operation(int32_t index) { return instances()[size_t(index)].operation; }
const char *ds_instance_type(int32_t index) { return instances()[size_t(index)].kernel.type; }
ds_bounds ds_instance_bounds(int32_t index) {
  const auto &i = instances()[size_t(index)];
  return {i.registers, i.local_bytes, i.kernel.shape.shared_bytes, i.kernel.shape.threads, i.argument_bytes};
}
bool ds_compile_instance(int32_t index, int32_t architecture, const char *folder, ds_resources *resources) {
  const auto &i = instances()[size_t(index)];
  return succeeds([&] {
    auto program = program_text(i.kernel, size_t(i.argument_bytes));
    std::vector<std::string> parts{program, std::to_string(architecture), std::to_string(Compiler::shared().version())};
    for (const auto &file : source_files())
      parts.push_back(file.text);
    CubinCache found(folder);
    auto key = cache_key(parts);
    if (auto bytes = found.read(key); bytes && bytes->size() == sizeof(ds_resources)) {
      memcpy(resources, bytes->data(), sizeof(ds_resources));
      return;
    }
    compile(program, architecture, *resources);
    found.write(key, std::string(reinterpret_cast<const char *>(resources), sizeof(ds_resources)));
  });
}
bool ds_compile(const char *program, int32_t architecture, ds_resources *resources) {
  return succeeds([&] { compile(program, architecture, *resources); });
}
const char *ds_compiler(void) {
  std::string path;
  bool found = succeeds([&] { path = Compiler::shared().path(); });
  return found ? kept(path) : nullptr;
}
void ds_add_folder(const char *folder) { Compiler::add_folder(folder); }

// Memory kept between steps.
//
// A training step allocates the same large blocks over and over. The C library maps and unmaps each of them, and
// touching fresh pages costs more than the element-wise work done on them. This allocator keeps freed blocks in
// size classes and hands them out again; large blocks ask for huge pages.
#include "memory.h"

#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace ctorch {

#if defined(__linux__)
namespace {

constexpr size_t kSmall = 1 << 18;    // below this the C library does well
constexpr size_t kHugePage = 2 << 20; // blocks of several of these ask for huge pages

class KeepingAllocator final : public c10::Allocator {
public:
  c10::DataPtr allocate(size_t size) override {
    void *block = size < kSmall ? small(size) : large(size);
    return {block, block, &release, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void *to, const void *from, size_t count) const override { std::memcpy(to, from, count); }

  static KeepingAllocator &shared() {
    static auto *allocator = new KeepingAllocator; // never destroyed: tensors may outlive static objects
    return *allocator;
  }

private:
  std::mutex lock;
  std::map<size_t, std::vector<void *>> kept; // by class
  std::map<void *, size_t> sizes;             // of blocks that were mapped here
  size_t kept_bytes = 0;
  const size_t limit = static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGE_SIZE) / 4;

  static void *small(size_t size) {
    if (size == 0)
      return nullptr;
    void *block = nullptr;
    if (posix_memalign(&block, 64, size) != 0)
      fail(size);
    return block;
  }

  // Eight classes to each power of two: at most an eighth of a block is wasted.
  static size_t class_of(size_t size) {
    size_t step = std::max<size_t>(1 << 16, (size_t(1) << (63 - __builtin_clzll(size))) / 8);
    return (size + step - 1) / step * step;
  }

  void *large(size_t size) {
    // Sizes near the end of the address space would overflow the rounding.
    if (size > (size_t(1) << 46))
      fail(size);
    size_t rounded = class_of(size);
    std::lock_guard<std::mutex> guard(lock);
    auto found = kept.find(rounded);
    if (found != kept.end() && !found->second.empty()) {
      void *block = found->second.back();
      found->second.pop_back();
      kept_bytes -= rounded;
      return block;
    }
    void *block = map(rounded);
    if (!block) {
      drop_kept();
      block = map(rounded);
    }
    if (!block)
      fail(size);
    sizes[block] = rounded;
    return block;
  }

  static void *map(size_t size) {
    void *block = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED)
      return nullptr;
    if (size >= 2 * kHugePage)
      madvise(block, size, MADV_HUGEPAGE);
    return block;
  }

  void drop_kept() {
    for (auto &[size, blocks] : kept)
      for (void *block : blocks) {
        munmap(block, size);
        sizes.erase(block);
      }
    kept.clear();
    kept_bytes = 0;
  }

  static void release(void *block) {
    if (!block)
      return;
    auto &self = shared();
    {
      std::lock_guard<std::mutex> guard(self.lock);
      auto found = self.sizes.find(block);
      if (found != self.sizes.end()) {
        if (self.kept_bytes + found->second > self.limit)
          self.drop_kept();
        self.kept[found->second].push_back(block);
        self.kept_bytes += found->second;
        return;
      }
    }
    std::free(block);
  }

  [[noreturn]] static void fail(size_t size) {
    TORCH_CHECK_WITH(OutOfMemoryError, false, "no room for a block of ", size, " bytes");
    std::abort(); // the check above always throws
  }
};

} // namespace

void install_allocator() { c10::SetCPUAllocator(&KeepingAllocator::shared(), /*priority=*/1); }

#else
void install_allocator() {}
#endif

} // namespace ctorch

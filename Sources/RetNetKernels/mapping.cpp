// Pages of mapped files.
#include "workers.h"

#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

#include <algorithm>

namespace {

// Bytes that a thread maps at once, and those of a page of any processor.
[[maybe_unused]] constexpr int64_t kMappedBytes = 1 << 21, kLeastPage = 1 << 12;

#if defined(__linux__)
// Since Linux 5.14; older ones refuse it, and pages are then mapped as they are touched.
constexpr int kPopulateRead = 22;

// Maps a part whose pages are all in memory.
void map_part(char *begin, int64_t size) {
  unsigned char resident[kMappedBytes / kLeastPage];
  if (mincore(begin, size, resident) != 0)
    return;
  int64_t pages = (size + kLeastPage - 1) / kLeastPage;
  if (std::all_of(resident, resident + pages, [](unsigned char page) { return page & 1; }))
    madvise(begin, size, kPopulateRead);
}
#endif

void map_resident(rn_pool *pool, const void *memory, int64_t size) {
#if defined(__linux__)
  const uintptr_t page = uintptr_t(sysconf(_SC_PAGESIZE));
  char *end = const_cast<char *>(static_cast<const char *>(memory)) + size;
  char *begin = reinterpret_cast<char *>(reinterpret_cast<uintptr_t>(memory) / page * page);
  run_parts(pool, (end - begin + kMappedBytes - 1) / kMappedBytes, 1, 1, [&](int64_t first, int64_t last, int32_t) {
    for (int64_t i = first; i < last; i++)
      map_part(begin + i * kMappedBytes, std::min(kMappedBytes, end - begin - i * kMappedBytes));
  });
#else
  (void)pool, (void)memory, (void)size;
#endif
}

} // namespace

void rn_map_weights(rn_pool *pool, const rn_weights *weights) {
  int64_t groups = weights->rows * (weights->columns / RN_GROUP) * 2, parts = (weights->scales ? 1 : 0) + (weights->minima ? 1 : 0);
  map_resident(pool, weights->data, rn_weight_bytes(weights->type, weights->rows, weights->columns) - parts * groups);
  if (weights->scales)
    map_resident(pool, weights->scales, groups);
  if (weights->minima)
    map_resident(pool, weights->minima, groups);
}

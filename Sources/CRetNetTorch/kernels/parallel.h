// Loops over LibTorch's own threads.
#pragma once

#include <cstdint>
#include <functional>

namespace ctorch {

// Calls body(begin, end) on disjoint parts of 0..<count, each at least `grain` long. Runs serially inside
// another parallel region, and where LibTorch's thread pool cannot be reached.
void parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)> &body);

} // namespace ctorch

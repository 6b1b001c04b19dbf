// Loops over several threads, which belong to whoever uses the kernels.
#pragma once

#include <cstdint>
#include <functional>

namespace retnet {

// Threads of the program for loops to run on.
struct ThreadPool {
  // Number of threads that a loop may use.
  int64_t (*size)();
  // True inside a loop that already runs on several threads.
  bool (*is_busy)();
  // Calls work(context) on `count` threads at once and waits for all of them; null where there are none to use.
  void (*run)(void (*work)(void *), void *context, int64_t count);
};

// Sets the pool for all later loops. Before the first call, loops are serial.
void set_thread_pool(const ThreadPool &pool);

// Number of threads that a loop may use.
int64_t thread_count();

// Calls body(begin, end) on disjoint parts of 0 ..< count, each at least `grain` long where there are several. Serial
// inside another parallel loop. An exception of the body reaches the caller.
void parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)> &body);

} // namespace retnet

// Threads of inference; see inference.h. Unlike the loops of parallel.h they belong to nobody else.
#pragma once

#include "include/RetNetKernels/inference.h"
#include "include/RetNetKernels/kernels.h"

#include <atomic>
#include <thread>
#include <vector>

// Each thread has a range of parts of the current call, and takes parts of the others' ranges when its own is done. So a
// thread that the system does not run delays a call by no more than the part that it holds.
struct rn_pool {
  rn_pool(int32_t threads, const retnet::KernelTable &table);
  ~rn_pool();

  void run(int64_t count, int64_t unit, rn_body body, void *context);
  // Parts are taken from a range of at least this many units: a finer one costs more than it brings.
  void run(int64_t count, int64_t unit, int64_t least, rn_body body, void *context);

  const retnet::KernelTable &table;
  int32_t thread_count = 1;

private:
  struct alignas(64) Range {
    // The number of the call (24 bits, so that no value returns while a thread compares), the next part and the end.
    std::atomic<uint64_t> parts{0};
  };

  void wait_for_calls(int32_t worker);
  int32_t take_parts(int32_t worker);
  void stop();

  std::vector<Range> ranges_;
  std::vector<std::thread> threads_;

  // The current call; parts can only be taken while it stands.
  rn_body body_ = nullptr;
  void *context_ = nullptr;
  int64_t count_ = 0, unit_ = 1, units_per_part_ = 1;

  alignas(64) std::atomic<uint32_t> call_{0};
  alignas(64) std::atomic<int32_t> left_{0};
  alignas(64) std::atomic<bool> taken_{false};
  std::atomic<bool> stops_{false};
};

// Calls body(begin, end, worker), a lambda, on the pool, or on this thread alone where there is none.
template <class Body> void run_parts(rn_pool *pool, int64_t count, int64_t unit, int64_t least, Body &&body) {
  if (!pool) {
    body(int64_t(0), count, int32_t(0));
    return;
  }
  pool->run(
      count, unit, least,
      [](void *context, int64_t begin, int64_t end, int32_t worker) {
        (*static_cast<std::remove_reference_t<Body> *>(context))(begin, end, worker);
      },
      &body);
}

// The threads of inference.
#include "workers.h"

#include <algorithm>
#include <chrono>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

// Between the calls of one token pass a few microseconds; waking a thread costs more than that.
constexpr std::chrono::microseconds kPatience{25};
// Parts of a thread's range: enough that a thread that loses its core holds up little.
constexpr int64_t kPartsPerThread = 8;

inline void relax() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb" ::: "memory");
#endif
}

// Waits for `done` for a while; false where it did not come.
template <class Done> bool spin(Done &&done) {
  auto start = std::chrono::steady_clock::now();
  do {
    for (int i = 0; i < 16; i++) {
      if (done())
        return true;
      relax();
    }
  } while (std::chrono::steady_clock::now() - start < kPatience);
  return false;
}

uint64_t packed(uint32_t call, int64_t next, int64_t end) {
  return (uint64_t(call & 0xffffff) << 40) | uint64_t(next) << 20 | uint64_t(end);
}

} // namespace

rn_pool::rn_pool(int32_t threads, const retnet::KernelTable &table) : table(table), ranges_(std::max(threads, 1)) {
  thread_count = std::max(threads, 1);
  try {
    for (int32_t worker = 1; worker < threads; worker++)
      threads_.emplace_back([this, worker] { wait_for_calls(worker); });
  } catch (...) {
    thread_count = int32_t(threads_.size()) + 1;
  }
}

rn_pool::~rn_pool() { stop(); }

void rn_pool::stop() {
  stops_ = true;
  call_.fetch_add(1);
  call_.notify_all();
  for (std::thread &thread : threads_)
    thread.join();
}

void rn_pool::wait_for_calls(int32_t worker) {
  uint32_t seen = 0;
  while (true) {
    if (!spin([&] { return call_.load(std::memory_order_acquire) != seen; }))
      call_.wait(seen, std::memory_order_acquire);
    seen = call_.load(std::memory_order_acquire);
    if (stops_)
      return;
    // The one that ends the call's last part wakes the caller.
    if (int32_t done = take_parts(worker); done > 0 && left_.fetch_sub(done, std::memory_order_acq_rel) == done)
      left_.notify_one();
  }
}

// Runs parts until there is none to take; returns how many it ran.
int32_t rn_pool::take_parts(int32_t worker) {
  constexpr uint64_t mask = (1 << 20) - 1;
  int32_t done = 0;
  for (int32_t i = 0; i < thread_count; i++) {
    int32_t owner = worker + i < thread_count ? worker + i : worker + i - thread_count;
    std::atomic<uint64_t> &parts = ranges_[owner].parts;
    uint64_t seen = parts.load(std::memory_order_acquire);
    while (((seen >> 20) & mask) < (seen & mask)) {
      if (!parts.compare_exchange_weak(seen, seen + (1 << 20), std::memory_order_acquire))
        continue;
      int64_t units = (count_ + unit_ - 1) / unit_, next = (seen >> 20) & mask;
      int64_t first = units * owner / thread_count, last = units * (owner + 1) / thread_count;
      int64_t begin = first + next * units_per_part_, end = std::min(begin + units_per_part_, last);
      body_(context_, begin * unit_, std::min(end * unit_, count_), worker);
      done++;
      seen = parts.load(std::memory_order_acquire);
    }
  }
  return done;
}

void rn_pool::run(int64_t count, int64_t unit, rn_body body, void *context) { run(count, unit, 1, body, context); }

void rn_pool::run(int64_t count, int64_t unit, int64_t least, rn_body body, void *context) {
  if (count <= 0)
    return;
  int64_t units = (count + unit - 1) / unit;
  // One thread, little work, another caller or a call inside a call: run here.
  if (thread_count == 1 || units < 2 * least || taken_.exchange(true, std::memory_order_acquire)) {
    body(context, 0, count, 0);
    return;
  }
  body_ = body, context_ = context, count_ = count, unit_ = unit;
  units_per_part_ = std::max({least, (units / thread_count + kPartsPerThread - 1) / kPartsPerThread, units >> 19});
  int32_t total = 0;
  uint32_t call = call_.load(std::memory_order_relaxed) + 1;
  auto parts = [&](int32_t owner) {
    int64_t size = units * (owner + 1) / thread_count - units * owner / thread_count;
    return (size + units_per_part_ - 1) / units_per_part_;
  };
  for (int32_t owner = 0; owner < thread_count; owner++)
    total += int32_t(parts(owner));
  left_.store(total, std::memory_order_relaxed);
  for (int32_t owner = 0; owner < thread_count; owner++)
    ranges_[owner].parts.store(packed(call, 0, parts(owner)), std::memory_order_release);
  call_.store(call, std::memory_order_release);
  call_.notify_all();
  int32_t done = take_parts(0);
  if (left_.fetch_sub(done, std::memory_order_acq_rel) != done) {
    auto ended = [&] { return left_.load(std::memory_order_acquire) == 0; };
    if (!spin(ended))
      for (int32_t left; (left = left_.load(std::memory_order_acquire)) != 0;)
        left_.wait(left, std::memory_order_acquire);
  }
  taken_.store(false, std::memory_order_release);
}

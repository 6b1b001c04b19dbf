// Loops over several threads: parts are taken in turn by the threads of the pool.
#include "RetNetTrainingKernels/parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>

namespace retnet {
namespace {

ThreadPool pool{[]() -> int64_t { return 1; }, [] { return false; }, nullptr};

struct Job {
  const std::function<void(int64_t, int64_t)> *body;
  int64_t count, parts;
  std::atomic<int64_t> next{0};
  std::atomic<bool> failed{false};
  std::exception_ptr error;
};

thread_local bool inside = false;

void work(void *argument) {
  auto *job = static_cast<Job *>(argument);
  bool before = inside;
  inside = true;
  for (int64_t part; (part = job->next.fetch_add(1)) < job->parts;) {
    try {
      (*job->body)(job->count *part / job->parts, job->count * (part + 1) / job->parts);
    } catch (...) {
      if (!job->failed.exchange(true))
        job->error = std::current_exception();
    }
  }
  inside = before;
}

} // namespace

void set_thread_pool(const ThreadPool &given) { pool = given; }

int64_t thread_count() { return pool.size(); }

void parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)> &body) {
  if (count <= 0)
    return;
  int64_t parts = std::min<int64_t>(pool.size(), (count + grain - 1) / std::max<int64_t>(grain, 1));
  if (!pool.run || parts <= 1 || inside || pool.is_busy()) {
    body(0, count);
    return;
  }
  Job job{&body, count, parts};
  pool.run(work, &job, parts);
  if (job.error)
    std::rethrow_exception(job.error);
}

} // namespace retnet

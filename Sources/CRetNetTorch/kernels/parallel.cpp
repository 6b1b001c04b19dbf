// ATen's parallel_for is a template that becomes a serial loop unless it is compiled with OpenMP, and a
// second OpenMP runtime beside LibTorch's would fight it for the cores. So this file enters the OpenMP
// runtime that LibTorch has already loaded.
#include "parallel.h"

#include <ATen/Parallel.h>
#include <algorithm>
#include <atomic>
#include <dlfcn.h>
#include <exception>

namespace ctorch {

namespace {

using OpenMPRegion = void (*)(void (*)(void *), void *, unsigned, unsigned);

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
      (*job->body)(job->count * part / job->parts, job->count * (part + 1) / job->parts);
    } catch (...) {
      if (!job->failed.exchange(true))
        job->error = std::current_exception();
    }
  }
  inside = before;
}

} // namespace

void parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)> &body) {
  if (count <= 0)
    return;
  static const auto region = reinterpret_cast<OpenMPRegion>(dlsym(RTLD_DEFAULT, "GOMP_parallel"));
  int64_t parts = std::min<int64_t>(at::get_num_threads(), (count + grain - 1) / std::max<int64_t>(grain, 1));
  if (!region || parts <= 1 || inside || at::in_parallel_region()) {
    body(0, count);
    return;
  }
  Job job{&body, count, parts};
  region(work, &job, static_cast<unsigned>(parts), 0);
  if (job.error)
    std::rethrow_exception(job.error);
}

} // namespace ctorch

// Kernels with faults that the emulation has to find.
#include "buffers.h"
#include "machine.h"

#include "device.cuh"

#include <cmath>

namespace retnet::device {
namespace {

struct FaultArguments {
  float *out; // [64]
  const float *in;
};

struct Faulty {
  using Arguments = FaultArguments;
  static constexpr int threads = 64, shared_bytes = 256;
  static float *shared() { return reinterpret_cast<float *>(shared_memory()); }
};

// Reads what another warp writes, with or without a barrier between.
template <bool kWaits> struct Exchange : Faulty {
  static void run(const FaultArguments &a) {
    shared()[thread_index()] = static_cast<float>(thread_index());
    if (kWaits)
      barrier();
    a.out[thread_index()] = shared()[(thread_index() + 32) % 64];
  }
};
// Writes over what another warp still reads.
struct EarlyWrite : Faulty {
  static void run(const FaultArguments &a) {
    shared()[thread_index()] = 1;
    barrier();
    a.out[thread_index()] = shared()[(thread_index() + 32) % 64];
    shared()[thread_index()] = 2;
  }
};
struct DividedWarp : Faulty {
  static void run(const FaultArguments &a) {
    if (thread_index() % 32 < 16)
      barrier();
    a.out[thread_index()] = warp_sum(1.0f);
    if (thread_index() % 32 >= 16)
      barrier();
  }
};
struct Overrun : Faulty {
  static void run(const FaultArguments &a) {
    a.out[thread_index()] = 0;
    shared()[thread_index() + 1] = 1;
  }
};
struct UnalignedRow : Faulty {
  static void run(const FaultArguments &a) {
    uint32_t r[4];
    load_matrices(r, shared() + 1);
    a.out[thread_index()] = to_float(bf16{static_cast<uint16_t>(r[0])});
  }
};
// Reads 16 bytes that were asked for, after waiting for them or not.
template <bool kWaits> struct CopyAhead : Faulty {
  static void run(const FaultArguments &a) {
    if (thread_index() == 0)
      copy_async(shared(), a.in, 16);
    end_copies();
    if (kWaits)
      wait_for_copies<0>();
    barrier();
    a.out[thread_index()] = shared()[thread_index() % 4];
  }
};

} // namespace
} // namespace retnet::device

namespace retnet::emulation {
namespace {

using namespace device;

// What one fault shows as.
struct Finding {
  std::string error;
  bool is_different, has_nan; // from order to order; in any order
};

template <class Kernel> Finding try_kernel(const char *type) {
  Registration<Kernel> registration(type);
  device::Kernel kernel;
  name_kernel(kernel, "", "%s", type);
  kernel.shape = {{1, 1, 1}, Kernel::threads, Kernel::shared_bytes};
  Finding finding = {};
  Buffer in(std::vector<double>(4, 3.0));
  uint64_t first = 0;
  for (Order order : {0, 1, 2, 3}) {
    Buffer out(std::vector<double>(64, 0.0));
    FaultArguments a{out.floats(), in.floats()};
    if (auto error = launch(kernel, &a, order); !error.empty())
      finding.error = error;
    for (double x : out.values())
      finding.has_nan |= std::isnan(x);
    if (order == 0)
      first = out.hash();
    finding.is_different |= out.hash() != first;
  }
  return finding;
}

} // namespace
} // namespace retnet::emulation

using namespace retnet::emulation;

const char *rde_check_emulation(void) {
  auto good = try_kernel<Exchange<true>>("Exchange with a barrier");
  if (!good.error.empty() || good.has_nan || good.is_different)
    return kept("a kernel without faults fails: " + good.error);
  if (auto f = try_kernel<CopyAhead<true>>("copy with a wait"); !f.error.empty() || f.has_nan || f.is_different)
    return kept("a copy without faults fails: " + f.error);
  if (!try_kernel<Exchange<false>>("exchange without a barrier").has_nan)
    return "a missing barrier before a read is not found";
  if (!try_kernel<EarlyWrite>("early write").is_different)
    return "a missing barrier before a write is not found";
  if (!try_kernel<CopyAhead<false>>("copy without a wait").has_nan)
    return "a missing wait for a copy is not found";
  if (try_kernel<DividedWarp>("divided warp").error.find("threads wait") == std::string::npos)
    return "a divided warp is not found";
  if (try_kernel<Overrun>("overrun").error.find("outside") == std::string::npos)
    return "a write past shared memory is not found";
  if (try_kernel<UnalignedRow>("unaligned row").error.find("aligned") == std::string::npos)
    return "an unaligned row is not found";
  return nullptr;
}

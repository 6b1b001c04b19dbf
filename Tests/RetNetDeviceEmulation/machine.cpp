// The fibers behind emulation.h.
#include "machine.h"

#include "RetNetDeviceEmulation.h"
#include "buffers.h"

#include "device.cuh"

#include <map>
#include <memory>
#include <vector>

namespace retnet::emulation {

thread_local int current_thread;
thread_local Block current_block;

namespace {

constexpr size_t kStackBytes = 128 << 10, kGuardBytes = 1 << 12;
constexpr unsigned char kPoison = 0xff; // NaN in every element type

// Saves the registers that a call keeps and continues where `target` did that.
[[gnu::naked, gnu::noinline]] void switch_stack([[maybe_unused]] void **save, [[maybe_unused]] void *target) {
#if defined(__x86_64__)
  asm volatile("pushq %rbp\n pushq %rbx\n pushq %r12\n pushq %r13\n pushq %r14\n pushq %r15\n"
               "movq %rsp, (%rdi)\n movq %rsi, %rsp\n"
               "popq %r15\n popq %r14\n popq %r13\n popq %r12\n popq %rbx\n popq %rbp\n retq");
#elif defined(__aarch64__)
  asm volatile("sub sp, sp, #160\n stp x19, x20, [sp]\n stp x21, x22, [sp, #16]\n stp x23, x24, [sp, #32]\n"
               "stp x25, x26, [sp, #48]\n stp x27, x28, [sp, #64]\n stp x29, x30, [sp, #80]\n stp d8, d9, [sp, #96]\n"
               "stp d10, d11, [sp, #112]\n stp d12, d13, [sp, #128]\n stp d14, d15, [sp, #144]\n"
               "mov x9, sp\n str x9, [x0]\n mov sp, x1\n"
               "ldp x19, x20, [sp]\n ldp x21, x22, [sp, #16]\n ldp x23, x24, [sp, #32]\n ldp x25, x26, [sp, #48]\n"
               "ldp x27, x28, [sp, #64]\n ldp x29, x30, [sp, #80]\n ldp d8, d9, [sp, #96]\n ldp d10, d11, [sp, #112]\n"
               "ldp d12, d13, [sp, #128]\n ldp d14, d15, [sp, #144]\n add sp, sp, #160\n ret");
#else
#error "the emulation has no switch of stacks for this processor"
#endif
}

struct Copy {
  void *shared;
  const void *global;
  int bytes, group;
};

struct Machine {
  const Entry *entry;
  const void *arguments;
  Order order;
  int threads, warps, shared_bytes;
  char *shared;
  std::unique_ptr<char[]> stacks;
  std::vector<void *> saved;       // stack pointers of threads that wait
  std::vector<uint32_t> ready;     // lanes per warp
  std::vector<int> arrived;        // lanes per warp in a common instruction
  std::vector<void (*)(void *const *)> combining;
  std::vector<void *> operands;    // of all threads
  std::vector<std::vector<Copy>> copies;
  std::vector<int> groups;
  int in_barrier = 0, alive = 0;
  void *main_stack = nullptr;
  std::string error;
  uint64_t random = 0;

  void run_block();
  [[noreturn]] void fail(std::string text);
  void go_on(); // to another thread; returns when this one may run again
  int choose();
  void release_block() {
    in_barrier = 0;
    for (int thread = 0; thread < threads; thread++)
      if (waits_for_block[thread]) {
        ready[thread / 32] |= 1u << thread % 32;
        waits_for_block[thread] = false;
      }
  }
  std::vector<bool> waits_for_block;
};

thread_local Machine *machine;

uint32_t number(uint64_t &state, uint32_t below) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return static_cast<uint32_t>((state >> 33) % below);
}

// The next thread that can run, of the same warp if there is one; -1 for none.
int Machine::choose() {
  auto lane_of = [&](uint32_t lanes) {
    if (order == 0)
      return __builtin_ctz(lanes);
    if (order == 1)
      return 31 - __builtin_clz(lanes);
    for (;;)
      if (int lane = static_cast<int>(number(random, 32)); lanes >> lane & 1)
        return lane;
  };
  int own = current_thread / 32;
  int first = order < 2 ? own : static_cast<int>(number(random, static_cast<uint32_t>(warps)));
  for (int i = 0; i < warps; i++) {
    int warp = order == 1 ? (first - i + warps) % warps : (first + i) % warps;
    if (ready[warp])
      return warp * 32 + lane_of(ready[warp]);
  }
  return -1;
}

void Machine::fail(std::string text) {
  error = std::move(text) + " (thread " + std::to_string(current_thread) + " of block " +
          std::to_string(current_block.index[0]) + ", " + std::to_string(current_block.index[1]) + ", " +
          std::to_string(current_block.index[2]) + ")";
  void *unused;
  switch_stack(&unused, main_stack);
  __builtin_unreachable();
}

void Machine::go_on() {
  int next = choose();
  if (next < 0)
    fail("all threads wait, but not for the same: a barrier or an instruction of the warp is missed by some");
  int before = current_thread;
  current_thread = next;
  if (next != before)
    switch_stack(&saved[before], saved[next]);
}

void start_thread() {
  Machine &m = *machine;
  m.entry->run(m.arguments);
  m.ready[current_thread / 32] &= ~(1u << current_thread % 32);
  m.alive--;
  if (m.alive > 0 && m.in_barrier == m.alive)
    m.release_block();
  if (m.alive == 0) {
    void *unused;
    switch_stack(&unused, m.main_stack);
  }
  m.go_on();
  __builtin_unreachable();
}

void Machine::run_block() {
  std::memset(shared - kGuardBytes, kPoison, shared_bytes + 2 * kGuardBytes);
  std::fill(ready.begin(), ready.end(), 0xffffffffu);
  std::fill(arrived.begin(), arrived.end(), 0);
  std::fill(groups.begin(), groups.end(), 0);
  std::fill(waits_for_block.begin(), waits_for_block.end(), false);
  for (auto &list : copies)
    list.clear();
  in_barrier = 0, alive = threads;
  for (int thread = 0; thread < threads; thread++) {
    auto top = reinterpret_cast<uintptr_t>(stacks.get() + (thread + 1) * kStackBytes) & ~uintptr_t(15);
    auto words = reinterpret_cast<void **>(top);
#if defined(__x86_64__)
    words[-2] = reinterpret_cast<void *>(start_thread); // so that the stack is as after a call
    saved[thread] = words - 8;
#else
    words -= 20;
    words[11] = reinterpret_cast<void *>(start_thread); // x30
    saved[thread] = words;
#endif
  }
  current_thread = order == 1 ? threads - 1 : 0;
  current_thread = choose();
  switch_stack(&main_stack, saved[current_thread]);
  if (!error.empty())
    return;
  for (size_t i = 0; i < kGuardBytes; i++)
    if (static_cast<unsigned char>(shared[-1 - static_cast<ptrdiff_t>(i)]) != kPoison ||
        static_cast<unsigned char>(shared[shared_bytes + i]) != kPoison) {
      error = "the kernel wrote outside its shared memory";
      return;
    }
}

// Names without spaces: macros and rules set them differently.
std::string compact(std::string name) {
  std::erase(name, ' ');
  return name;
}

std::map<std::string, Entry> &entries() {
  static std::map<std::string, Entry> all;
  return all;
}

} // namespace

void wait_for_block() {
  Machine &m = *machine;
  if (++m.in_barrier == m.alive) {
    m.release_block();
    return;
  }
  m.waits_for_block[current_thread] = true;
  m.ready[current_thread / 32] &= ~(1u << current_thread % 32);
  m.go_on();
}

void with_warp(void (*combine)(void *const *), void *lane) {
  Machine &m = *machine;
  int warp = current_thread / 32;
  if (m.arrived[warp] == 0)
    m.combining[warp] = combine;
  else if (m.combining[warp] != combine)
    m.fail("lanes of a warp execute different instructions");
  m.operands[current_thread] = lane;
  if (++m.arrived[warp] == 32) {
    combine(&m.operands[warp * 32]);
    m.arrived[warp] = 0;
    m.ready[warp] = 0xffffffffu;
    return;
  }
  m.ready[warp] &= ~(1u << current_thread % 32);
  m.go_on();
}

void add_copy(void *shared, const void *global, int bytes) {
  check_shared_row(shared);
  if (reinterpret_cast<uintptr_t>(global) % 16 || bytes < 0 || bytes > 16)
    machine->fail("an asynchronous copy reads " + std::to_string(bytes) + " bytes from an address that is not aligned");
  machine->copies[current_thread].push_back({shared, global, bytes, machine->groups[current_thread]});
}
void end_copy_group() { machine->groups[current_thread]++; }
void finish_copies(int pending) {
  auto &list = machine->copies[current_thread];
  int last = machine->groups[current_thread] - pending;
  size_t done = 0;
  for (; done < list.size() && list[done].group < last; done++) {
    std::memset(list[done].shared, 0, 16);
    std::memcpy(list[done].shared, list[done].global, list[done].bytes);
  }
  list.erase(list.begin(), list.begin() + done);
}

void check_shared_row(const void *row) {
  auto offset = static_cast<const char *>(row) - machine->shared;
  if (offset < 0 || offset + 16 > machine->shared_bytes || reinterpret_cast<uintptr_t>(row) % 16)
    machine->fail("a row at byte " + std::to_string(offset) + " is not an aligned row of the " +
                  std::to_string(machine->shared_bytes) + " bytes of shared memory");
}

void add_entry(Entry entry) {
  auto type = compact(entry.type);
  entries()[type] = std::move(entry);
}

std::string launch(const device::Kernel &kernel, const void *arguments, Order order) {
  auto found = entries().find(compact(kernel.type));
  if (found == entries().end())
    return std::string("the emulation has no ") + kernel.type + "; add it to its instances";
  const auto &shape = kernel.shape;
  const Entry &entry = found->second;
  if (shape.threads != entry.threads || shape.shared_bytes != entry.shared_bytes || shape.threads % 32)
    return std::string(kernel.type) + " is launched with other threads or shared memory than it was compiled for";
  Machine m;
  m.entry = &entry, m.arguments = arguments, m.order = order, m.random = static_cast<uint64_t>(order);
  m.threads = shape.threads, m.warps = m.threads / 32, m.shared_bytes = shape.shared_bytes;
  m.stacks.reset(new char[m.threads * kStackBytes]);
  std::unique_ptr<char[]> shared(new char[m.shared_bytes + 2 * kGuardBytes + 16]);
  m.shared = reinterpret_cast<char *>((reinterpret_cast<uintptr_t>(shared.get()) + kGuardBytes + 15) & ~uintptr_t(15));
  m.saved.resize(m.threads), m.operands.resize(m.threads), m.copies.resize(m.threads), m.groups.resize(m.threads);
  m.waits_for_block.resize(m.threads);
  m.ready.resize(m.warps), m.arrived.resize(m.warps), m.combining.resize(m.warps);
  machine = &m;
  int blocks = shape.grid[0] * shape.grid[1] * shape.grid[2];
  for (int i = 0; i < blocks && m.error.empty(); i++) {
    int block = order == 1 ? blocks - 1 - i : i;
    current_block = {{block % shape.grid[0], block / shape.grid[0] % shape.grid[1],
                      block / shape.grid[0] / shape.grid[1]},
                     {shape.grid[0], shape.grid[1], shape.grid[2]},
                     m.shared};
    m.run_block();
  }
  machine = nullptr;
  return m.error.empty() ? "" : std::string(kernel.type) + ": " + m.error;
}

std::string launch(const device::Plan &plan, Order order) {
  for (int32_t i = 0; i < plan.count; i++)
    if (auto error = launch(plan.steps[i].kernel, plan.steps[i].arguments, order); !error.empty())
      return error;
  return "";
}

} // namespace retnet::emulation

namespace {
thread_local int64_t launch_count;
}

const char *rde_launch(const char *name, const int32_t *grid, int32_t threads, int32_t shared_bytes,
                       const void *arguments) {
  launch_count++;
  retnet::device::Kernel kernel;
  retnet::device::name_kernel(kernel, "", "%s", name);
  kernel.shape = {{grid[0], grid[1], grid[2]}, threads, shared_bytes};
  return retnet::emulation::kept(retnet::emulation::launch(kernel, arguments, 0));
}

int64_t rde_launch_count(void) { return launch_count; }

// Scans over time: which instantiation runs for given arguments on a given device, and in how many blocks: one rule for the
// host, the emulation and the tests. Nothing here needs a device.
#pragma once

#include "arguments.h"

#include <algorithm>
#include <cstring>

namespace retnet::device {

// One launch; the kernel's only parameter lies in `arguments`.
struct Step {
  Kernel kernel;
  int32_t argument_bytes;
  alignas(16) unsigned char arguments[1536];
};
// Launches one after the other.
struct Plan {
  int32_t count = 0;
  Step steps[12];
};

inline int32_t element_bytes(Element type) { return type == Element::f32 ? 4 : 2; }
inline int32_t quotient_up(int64_t a, int64_t b) { return static_cast<int32_t>((a + b - 1) / b); }

template <class Arguments> void add_step(Plan &plan, const Kernel &kernel, const Arguments &arguments) {
  static_assert(sizeof(Arguments) <= sizeof(Step::arguments));
  Step &step = plan.steps[plan.count++];
  step.kernel = kernel;
  step.argument_bytes = sizeof(Arguments);
  std::memcpy(step.arguments, &arguments, sizeof(Arguments));
}

// ---- Retention ----

// Heads [B, H, T, X] with strides in elements, the last one 1; without data they are not there.
struct View {
  const void *data;
  int64_t batch, head, time;
};

// Retention, or with log_gates gated retention and simple GLA, and the gradients.
struct RetentionProblem {
  View q, k, v, out;         // q and k have `groups` heads, all others `heads`
  View d_out, dq, dk, dv;    // dq and dk have `heads` heads too, to be summed over those that share q and k
  const float *state_in;     // [B, H, A, V] contiguous, as all states; null: zero
  float *state_out;          // null: not wanted
  const float *d_state_out;  // null: zero
  float *d_state_in;         // null: not wanted
  const float *log_gates;    // [B, H, T] contiguous, natural logarithms; null: fixed decays
  float *d_log_gates;        // null: not wanted
  const float *log2_gammas;  // on the host, [H]; null with gates
  int32_t batch, heads, groups, time, key_size, value_size;
  void *workspace;           // retention_workspace() bytes, aligned to 16
};

inline Rows rows_of(const View &view, Element type, int32_t share = 1) {
  int64_t bytes = element_bytes(type);
  bool aligned = reinterpret_cast<uintptr_t>(view.data) % 16 == 0 &&
                 (view.batch * bytes | view.head * bytes | view.time * bytes) % 16 == 0;
  return {view.data, view.batch, view.head, view.time, share, aligned};
}

// Segments are at least this long: each costs a second pass over keys and values.
constexpr int32_t kShortestSegment = 512;

// The segments of time, from their number of blocks without; `length` is a multiple of 64.
inline int32_t segment_count(int32_t blocks, int32_t time, const Limits &limits, int32_t &length) {
  int32_t wanted = std::clamp(limits.multiprocessors / std::max(blocks, 1), 1, std::max(time / kShortestSegment, 1));
  length = quotient_up(quotient_up(time, wanted), 64) * 64;
  return quotient_up(time, length);
}

inline int32_t scan_tile(int32_t key_size, int32_t value_size, int32_t head_rows, const Limits &limits) {
  int32_t tile = value_size <= 16 ? 16 : value_size <= 32 ? 32 : 64;
  // A block of 128 values has 256 threads, which with more keys than 256 would not have registers enough. It computes the
  // scores of its tokens for twice as many values as one of 64, but half of the multiprocessors should not be idle for it.
  bool fills = int64_t(head_rows) * quotient_up(value_size, 128) * 4 >= int64_t(limits.multiprocessors) * 3;
  return value_size > 64 && key_size <= 256 && fills ? 128 : tile;
}

inline bool scan_kernel(const ScanArguments &a, int32_t kind, Element type, const Limits &limits, Kernel &kernel) {
  int32_t head_rows = a.batch * a.heads;
  if (a.key_size < 1 || a.key_size > 512 || a.value_size < 1 || a.heads > kMaximumHeads || a.time < 1 ||
      int64_t(a.batch) * a.heads > 65535 || a.segments > 65535)
    return false;
  int32_t keys = a.key_size <= 256 ? quotient_up(a.key_size, 16) * 16 : quotient_up(a.key_size, 32) * 32;
  int32_t tile = scan_tile(keys, a.value_size, head_rows, limits);
  // Chunks whose next one is loaded meanwhile come first. Wide elements take twice the room.
  static constexpr int32_t kChoices[][2] = {{64, 2}, {32, 2}, {64, 1}, {32, 1}, {16, 2}, {16, 1}};
  for (auto [chunk, stages] : kChoices) {
    int32_t bytes = scan_shared_bytes(element_bytes(type), keys, tile, chunk, stages, kind);
    if (bytes > limits.shared_bytes || (type == Element::f32 && chunk > 32))
      continue;
    name_kernel(kernel, "scan.cuh", "Scan<%s, %d, %d, %d, %d, %s%s%s>", element_name(type), keys, tile, chunk, stages,
                kind & kReverse ? "kReverse" : "kForward", kind & kGated ? " | kGated" : "",
                kind & kStates ? " | kStates" : "");
    kernel.shape = {{quotient_up(a.value_size, tile), head_rows, a.segments}, scan_threads(keys, tile), bytes};
    return true;
  }
  return false;
}

// Where the parts of the workspace begin, in bytes.
struct RetentionWorkspace {
  int64_t states = 0, logs = 0, last_state = 0, query_dots = 0, key_dots = 0, bytes = 0;
  int32_t segments = 1, segment_length = 0;
};
inline RetentionWorkspace retention_layout(const RetentionProblem &p, const Limits &limits, bool backward) {
  RetentionWorkspace w;
  int64_t rows = int64_t(p.batch) * p.heads, state = rows * p.key_size * p.value_size;
  auto take = [&](int64_t &place, int64_t floats) {
    place = w.bytes;
    w.bytes += (floats * 4 + 15) / 16 * 16;
  };
  int32_t tile = scan_tile(p.key_size, p.value_size, static_cast<int32_t>(rows), limits);
  int32_t blocks = static_cast<int32_t>(std::min<int64_t>(rows * quotient_up(p.value_size, tile), 1 << 30));
  w.segments = segment_count(blocks, p.time, limits, w.segment_length);
  if (w.segments > 1) {
    take(w.states, w.segments * state);
    if (p.log_gates)
      take(w.logs, w.segments * rows);
  }
  if (backward && p.d_log_gates) {
    if (p.d_state_out)
      take(w.last_state, state);
    take(w.query_dots, quotient_up(p.key_size, 16) * rows * p.time);
    take(w.key_dots, quotient_up(p.key_size, 16) * rows * p.time);
  }
  return w;
}
inline int64_t retention_workspace(const RetentionProblem &p, Element, const Limits &limits, bool backward) {
  return retention_layout(p, limits, backward).bytes;
}

// Plans the scans of one problem.
struct RetentionPlanner {
  const RetentionProblem &p;
  Element type;
  Limits limits;
  Plan &plan;
  RetentionWorkspace layout;

  RetentionPlanner(const RetentionProblem &p, Element type, const Limits &limits, bool backward, Plan &plan)
      : p(p), type(type), limits(limits), plan(plan), layout(retention_layout(p, limits, backward)) {
    plan.count = 0;
  }

  float *at(int64_t place) const { return reinterpret_cast<float *>(static_cast<char *>(p.workspace) + place); }
  Rows rows(const View &view) const { return rows_of(view, type); }
  Rows shared(const View &view) const { return rows_of(view, type, p.heads / p.groups); }

  bool fits() const {
    return p.batch > 0 && p.heads > 0 && p.groups > 0 && p.heads % p.groups == 0 && p.heads <= kMaximumHeads &&
           p.time > 0 && (p.log_gates || p.log2_gammas);
  }

  // A scan whose state is [key_size, value_size] as the operator's, or its transpose.
  ScanArguments scan(Rows query, Rows key, Rows value, Rows out, bool transposed) const {
    ScanArguments a = {};
    a.query = query, a.key = key, a.value = value, a.out = out;
    a.key_size = transposed ? p.value_size : p.key_size;
    a.value_size = transposed ? p.key_size : p.value_size;
    a.state_key = transposed ? 1 : p.value_size;
    a.state_value = transposed ? p.value_size : 1;
    a.segment_stride = int64_t(p.batch) * p.heads * p.key_size * p.value_size;
    a.log_gates = p.log_gates;
    a.batch = p.batch, a.heads = p.heads, a.time = p.time;
    a.segments = layout.segments, a.segment_length = layout.segment_length;
    if (!p.log_gates)
      std::copy(p.log2_gammas, p.log2_gammas + p.heads, a.log2_gammas);
    return a;
  }

  bool add(const ScanArguments &a, int32_t kind) {
    Kernel kernel;
    if (!scan_kernel(a, kind | (p.log_gates ? kGated : 0), type, limits, kernel))
      return false;
    add_step(plan, kernel, a);
    return true;
  }

  // The states that enter the segments of a scan; with one segment the given one.
  bool add_states(Rows key, Rows value, const float *state_in, int32_t direction, const float *&entering) {
    entering = state_in;
    if (layout.segments == 1)
      return true;
    ScanArguments a = scan(Rows{}, key, value, Rows{}, false);
    a.state_out = at(layout.states);
    if (p.log_gates)
      a.segment_logs = at(layout.logs);
    JoinSegmentsArguments j = {};
    j.states = a.state_out, j.state_in = state_in, j.segment_logs = a.segment_logs;
    j.segment_stride = a.segment_stride;
    j.count = p.batch * p.heads, j.heads = p.heads, j.size = p.key_size * p.value_size;
    j.segments = a.segments, j.segment_length = a.segment_length, j.time = p.time, j.reverse = direction == kReverse;
    std::copy(a.log2_gammas, a.log2_gammas + kMaximumHeads, j.log2_gammas);
    Kernel join{"segments.cuh", "JoinSegments", {{quotient_up(a.segment_stride, kJoinThreads), 1, 1}, kJoinThreads, 0}};
    if (!add(a, direction | kStates))
      return false;
    add_step(plan, join, j);
    entering = a.state_out;
    return true;
  }
};

// Outputs and the last state. False: no kernel for these sizes here.
inline bool retention_forward_plan(const RetentionProblem &p, Element type, const Limits &limits, Plan &plan) {
  RetentionPlanner planner(p, type, limits, false, plan);
  if (!planner.fits())
    return false;
  auto q = planner.shared(p.q), k = planner.shared(p.k), v = planner.rows(p.v);
  const float *entering;
  if (!planner.add_states(k, v, p.state_in, kForward, entering))
    return false;
  ScanArguments a = planner.scan(q, k, v, planner.rows(p.out), false);
  a.state_in = entering, a.state_out = p.state_out;
  return planner.add(a, kForward);
}

// All gradients.
inline bool retention_backward_plan(const RetentionProblem &p, Element type, const Limits &limits, Plan &plan) {
  RetentionPlanner planner(p, type, limits, true, plan);
  if (!planner.fits())
    return false;
  const auto &layout = planner.layout;
  auto q = planner.shared(p.q), k = planner.shared(p.k), v = planner.rows(p.v), d_out = planner.rows(p.d_out);
  const float *entering;
  if (!planner.add_states(k, v, p.state_in, kForward, entering))
    return false;
  ScanArguments dq = planner.scan(d_out, v, k, planner.rows(p.dq), true);
  dq.state_in = entering;
  if (p.d_log_gates) {
    dq.dots = planner.at(layout.query_dots), dq.with = q;
    if (p.d_state_out)
      dq.state_out = planner.at(layout.last_state);
  }
  if (!planner.add(dq, kForward) || !planner.add_states(q, d_out, p.d_state_out, kReverse, entering))
    return false;
  ScanArguments dk = planner.scan(v, d_out, q, planner.rows(p.dk), true);
  dk.state_in = entering;
  if (p.d_log_gates)
    dk.dots = planner.at(layout.key_dots), dk.with = k;
  ScanArguments dv = planner.scan(k, q, d_out, planner.rows(p.dv), false);
  dv.state_in = entering, dv.state_out = p.d_state_in;
  if (!planner.add(dk, kReverse) || !planner.add(dv, kReverse))
    return false;
  if (p.d_log_gates) {
    GateGradientArguments g = {};
    g.query_dots = dq.dots, g.key_dots = dk.dots, g.state = dq.state_out, g.d_state = p.d_state_out;
    g.out = p.d_log_gates;
    g.query_parts = g.key_parts = quotient_up(p.key_size, 16);
    g.count = p.batch * p.heads, g.time = p.time, g.size = p.key_size * p.value_size;
    Kernel kernel{"segments.cuh", "GateGradient", {{g.count, 1, 1}, kGateGradientThreads, kGateGradientThreads * 8}};
    add_step(plan, kernel, g);
  }
  return true;
}

} // namespace retnet::device

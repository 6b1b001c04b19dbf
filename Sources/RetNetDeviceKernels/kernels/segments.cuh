// What scans over several segments of time need between them, and the last step of the gradients of gates.
#pragma once

#include "device.cuh"

namespace retnet::device {

// One thread per element of a state; see JoinSegmentsArguments.
struct JoinSegments {
  using Arguments = JoinSegmentsArguments;
  static constexpr int threads = kJoinThreads, min_blocks = 1, shared_bytes = 0;

  static DEVICE void run(const JoinSegmentsArguments &a) {
    int64_t i = static_cast<int64_t>(block_index(0)) * threads + thread_index();
    if (i >= static_cast<int64_t>(a.count) * a.size)
      return;
    int n = static_cast<int>(i / a.size);
    float state = a.state_in ? a.state_in[i] : 0.0f;
    for (int step = 0; step < a.segments; step++) {
      int segment = a.reverse ? a.segments - 1 - step : step;
      int left = a.time - segment * a.segment_length;
      int length = left < a.segment_length ? left : a.segment_length;
      float *at = a.states + segment * a.segment_stride + i;
      float end = *at;
      *at = state;
      float whole = a.segment_logs ? exponential(a.segment_logs[static_cast<int64_t>(segment) * a.count + n])
                                   : power_of_two(static_cast<float>(length) * a.log2_gammas[n % a.heads]);
      state = fused(whole, state, end);
    }
  }
};

// One block per head of a sequence; see GateGradientArguments. A thread sums neighboring tokens, in float64, because
// a sum over the rest of the sequence follows on differences of nearly equal numbers.
struct GateGradient {
  using Arguments = GateGradientArguments;
  static constexpr int threads = kGateGradientThreads, min_blocks = 1;
  static constexpr int shared_bytes = threads * 8;

  static DEVICE double difference(const GateGradientArguments &a, int token) {
    int64_t row = static_cast<int64_t>(block_index(0)) * a.time + token;
    int64_t part = static_cast<int64_t>(a.count) * a.time;
    double sum = 0;
    for (int i = 0; i < a.query_parts; i++)
      sum += a.query_dots[i * part + row];
    for (int i = 0; i < a.key_parts; i++)
      sum -= a.key_dots[i * part + row];
    return sum;
  }

  static DEVICE void run(const GateGradientArguments &a) {
    double *sums = reinterpret_cast<double *>(shared_memory());
    int thread = thread_index();
    double total = 0;
    if (a.d_state) {
      int64_t first = static_cast<int64_t>(block_index(0)) * a.size;
      double sum = 0;
      for (int i = thread; i < a.size; i += threads)
        sum += static_cast<double>(a.state[first + i]) * a.d_state[first + i];
      sums[thread] = sum;
      barrier();
      for (int i = 0; i < threads; i++)
        total += sums[i];
      barrier();
    }
    int length = (a.time + threads - 1) / threads;
    int begin = thread * length, end = begin + length < a.time ? begin + length : a.time;
    double sum = 0;
    for (int token = begin; token < end; token++)
      sum += difference(a, token);
    sums[thread] = sum;
    barrier();
    for (int i = thread + 1; i < threads; i++)
      total += sums[i];
    for (int token = end - 1; token >= begin; token--) {
      total += difference(a, token);
      a.out[static_cast<int64_t>(block_index(0)) * a.time + token] = static_cast<float>(total);
    }
  }
};

} // namespace retnet::device

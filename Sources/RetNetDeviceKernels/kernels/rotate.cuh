// Rotation of pairs of channels by the angles of their positions (RetNet's theta), which also moves heads from
// [B, T, H, A] to [B, H, T, A] and back: strides are free. One thread per pair.
#pragma once

#include "device.cuh"

namespace retnet::device {

template <class T> struct RotateHeads {
  using Arguments = RotateHeadsArguments;
  static constexpr int threads = kRotateThreads, min_blocks = 1, shared_bytes = 0;

  static DEVICE void run(const RotateHeadsArguments &a) {
    int half = (a.size + 1) / 2;
    int64_t i = static_cast<int64_t>(block_index(0)) * threads + thread_index();
    if (i >= static_cast<int64_t>(a.batch) * a.time * a.heads * half)
      return;
    int pair = static_cast<int>(i % half), h = static_cast<int>(i / half % a.heads);
    int64_t t = i / half / a.heads % a.time, b = i / half / a.heads / a.time;
    const T *in = static_cast<const T *>(a.x) + b * a.in_strides[0] + t * a.in_strides[1] + h * a.in_strides[2];
    T *out = static_cast<T *>(a.out) + b * a.out_strides[0] + t * a.out_strides[1] + h * a.out_strides[2];
    bool neighbors = a.interleaved || !a.cosine;
    int first = neighbors ? 2 * pair : pair, second = neighbors ? 2 * pair + 1 : pair + half;
    float x = to_float(in[first]), y = second < a.size ? to_float(in[second]) : 0.0f, c = 1, s = 0;
    if (a.cosine) {
      int64_t angle = b * a.angle_batch + t * half + pair;
      c = a.cosine[angle], s = a.sine[angle] * a.sign;
    }
    round_to((x * c - y * s) * a.scale, out[first]);
    if (second < a.size)
      round_to((y * c + x * s) * a.scale, out[second]);
  }
};

} // namespace retnet::device

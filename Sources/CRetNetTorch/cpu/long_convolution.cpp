// Steps of long convolutions (ops/convolutions.cpp) for processors: moves to and from rows of channels for the
// transforms, and direct sums.
#include "operators.h"

namespace ctorch::cpu {
namespace {

// ---- Spectra ----

template <class T, class A>
void pack_channels(const at::Tensor &x, const std::vector<Segment> &segments, int64_t first, int64_t count,
                   at::Tensor &out) {
  int64_t batch = x.size(0), row = x.stride(1), outer = x.stride(0), n = out.size(2);
  constexpr int64_t kBlock = 16;
  int64_t blocks = (count + kBlock - 1) / kBlock;
  const T *source = data<T>(x) + first;
  A *target = mutable_data<A>(out);
  parallel_for(batch * blocks, row_grain(n * kBlock), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      int64_t b = i / blocks, c0 = i % blocks * kBlock, width = std::min(kBlock, count - c0);
      const auto &segment = segments[b];
      A *to = target + (b * count + c0) * n;
      for (int64_t c = 0; c < width; c++) {
        std::fill(to + c * n, to + c * n + segment.to, A(0));
        std::fill(to + c * n + segment.to + segment.length, to + (c + 1) * n, A(0));
      }
      to += segment.to;
      const T *from = source + b * outer + segment.from * row + c0;
      for (int64_t t = 0; t < segment.length; t++)
        for (int64_t c = 0; c < width; c++)
          to[c * n + t] = widened(from[t * row + c]);
    }
  });
}

at::Tensor pack(const at::Tensor &given, const std::vector<Segment> &segments, int64_t first, int64_t count,
                int64_t n) {
  auto x = given.stride(2) == 1 ? given : given.contiguous();
  auto out = make::empty({x.size(0), count, n}, x.options().dtype(accumulator_type(x.scalar_type())));
  with_element(x.scalar_type(),
               [&]<class T>() { pack_channels<T, typename Accumulator<T>::type>(x, segments, first, count, out); });
  return out;
}

void unpack(const at::Tensor &y, const std::vector<Segment> &segments, int64_t first, at::Tensor &out) {
  int64_t batch = y.size(0), count = y.size(1);
  auto source = y.contiguous();
  int64_t n = source.size(2), row = out.size(2), outer = out.size(1) * row;
  constexpr int64_t kBlock = 16;
  int64_t blocks = (count + kBlock - 1) / kBlock;
  with_element(y.scalar_type(), [&]<class T>() {
    using A = typename Accumulator<T>::type;
    const A *from = data<A>(source);
    A *to = mutable_data<A>(out) + first;
    parallel_for(batch * blocks, row_grain(n * kBlock), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) {
        int64_t b = i / blocks, c0 = i % blocks * kBlock, width = std::min(kBlock, count - c0);
        const auto &segment = segments[b];
        const A *in = from + (b * count + c0) * n + segment.from;
        A *target = to + b * outer + segment.to * row + c0;
        for (int64_t t = 0; t < segment.length; t++)
          for (int64_t c = 0; c < width; c++)
            target[t * row + c] += in[c * n + t];
      }
    });
  });
}

// ---- Direct sums ----

// Rows [from, from + count) of x [M, C] at `row`, channels [c0, c0 + width) widened into rows of kPadding; rows
// outside 0 ..< length are zero.
template <class T, class A>
void load_block(const T *x, int64_t row, int64_t length, int64_t from, int64_t count, int64_t c0, int64_t width,
                A *out) {
  std::fill(out, out + count * kPadding, A(0));
  for (int64_t i = std::max<int64_t>(0, -from); i < count && from + i < length; i++)
    for (int64_t c = 0; c < width; c++)
      out[i * kPadding + c] = widened(x[(from + i) * row + c0 + c]);
}
template <class A> void add_block(const A *block, int64_t count, int64_t row, int64_t c0, int64_t width, A *out) {
  for (int64_t i = 0; i < count; i++)
    for (int64_t c = 0; c < width; c++)
      out[i * row + c0 + c] += block[i * kPadding + c];
}

// One or a few positions: every tap and input is read once, so they are streamed as they lie.
void streamed_forward(const at::Tensor &x, const at::Tensor &taps, const ConvolutionShape &s, at::Tensor &out) {
  constexpr int64_t kWidth = 128;
  int64_t blocks = (s.channels + kWidth - 1) / kWidth;
  with_element(x.scalar_type(), [&]<class T>() {
    using A = typename Accumulator<T>::type;
    const T *signal = data<T>(x);
    const A *filter = data<A>(taps);
    A *target = mutable_data<A>(out);
    int64_t row = x.stride(1), outer = x.stride(0), tap_row = taps.stride(0);
    const auto &kernels = state_space_kernels<T>();
    parallel_for(s.batch * s.time * blocks, row_grain(s.taps * kWidth), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) {
        int64_t c0 = i % blocks * kWidth, width = std::min(kWidth, s.channels - c0);
        int64_t t = i / blocks % s.time, b = i / blocks / s.time, position = s.starts[b] + t;
        A *sum = target + (b * s.time + t) * s.channels + c0;
        const T *last = signal + b * outer + position * row + c0;
        int64_t count = std::min(s.taps, position + 1);
        for (int64_t j = 0; j < count; j++)
          kernels.accumulate_products(filter + j * tap_row + c0, last - j * row, sum, width);
      }
    });
  });
}

void direct_forward(const at::Tensor &x, const at::Tensor &taps, const ConvolutionShape &s, at::Tensor &out) {
  if (s.time < 8)
    return streamed_forward(x, taps, s, out);
  int64_t blocks = (s.channels + kPadding - 1) / kPadding;
  with_element(x.scalar_type(), [&]<class T>() {
    using A = typename Accumulator<T>::type;
    const T *signal = data<T>(x);
    const A *filter = data<A>(taps);
    A *target = mutable_data<A>(out);
    int64_t row = x.stride(1), outer = x.stride(0), span = s.time + s.taps - 1;
    parallel_for(s.batch * blocks, row_grain(s.time * s.taps * kPadding), [&](int64_t begin, int64_t end) {
      std::vector<A> packed_taps(s.taps * kPadding), packed_signal(span * kPadding), sums(s.time * kPadding);
      for (int64_t i = begin; i < end; i++) {
        int64_t b = i / blocks, c0 = i % blocks * kPadding, width = std::min(kPadding, s.channels - c0);
        load_block(filter, taps.stride(0), s.taps, 0, s.taps, c0, width, packed_taps.data());
        load_block(signal + b * outer, row, s.starts[b] + s.time, s.starts[b] - (s.taps - 1), span, c0, width,
                   packed_signal.data());
        std::fill(sums.begin(), sums.end(), A(0));
        // x is zero before index 0.
        state_space_kernels<T>().correlate(packed_taps.data(), packed_signal.data() + (s.taps - 1) * kPadding, s.taps,
                                           1, -1, {0, 0, s.starts[b] + 1, 1}, sums.data(), s.time);
        add_block(sums.data(), s.time, s.channels, c0, width, target + b * s.time * s.channels);
      }
    });
  });
}

void direct_backward(const at::Tensor &x, const at::Tensor &taps, const ConvolutionShape &s,
                     const at::Tensor &out_gradient, at::Tensor &x_gradient, at::Tensor &taps_gradient) {
  int64_t blocks = (s.channels + kPadding - 1) / kPadding;
  with_element(x.scalar_type(), [&]<class T>() {
    using A = typename Accumulator<T>::type;
    const T *signal = data<T>(x);
    const A *filter = data<A>(taps), *gradient = data<A>(out_gradient);
    A *dx = mutable_data<A>(x_gradient), *dtaps = mutable_data<A>(taps_gradient);
    int64_t row = x.stride(1), outer = x.stride(0), span = s.time + s.taps - 1;
    // Rows of one block of channels add to the same taps, so one thread takes them all.
    parallel_for(blocks, row_grain(s.batch * s.time * s.taps * kPadding), [&](int64_t begin, int64_t end) {
      int64_t longest = s.length + s.taps - 1;
      std::vector<A> packed_taps(s.taps * kPadding), packed_signal(span * kPadding),
          packed_gradient(longest * kPadding), sums(s.length * kPadding), tap_sums(s.taps * kPadding);
      for (int64_t i = begin; i < end; i++) {
        int64_t c0 = i * kPadding, width = std::min(kPadding, s.channels - c0);
        load_block(filter, taps.stride(0), s.taps, 0, s.taps, c0, width, packed_taps.data());
        std::fill(tap_sums.begin(), tap_sums.end(), A(0));
        for (int64_t b = 0; b < s.batch; b++) {
          int64_t start = s.starts[b], length = start + s.time;
          load_block(signal + b * outer, row, length, start - (s.taps - 1), span, c0, width, packed_signal.data());
          // Index 0 is the gradient at position -start of the output.
          load_block(gradient + b * s.time * s.channels, s.channels, s.time, -start, length + s.taps - 1, c0, width,
                     packed_gradient.data());
          state_space_kernels<T>().correlate(packed_gradient.data() + start * kPadding,
                                             packed_signal.data() + (s.taps - 1) * kPadding, s.time, -1, 1,
                                             {-start, 1, s.time, 0}, tap_sums.data(), s.taps);
          std::fill(sums.begin(), sums.end(), A(0));
          state_space_kernels<T>().correlate(packed_taps.data(), packed_gradient.data(), s.taps, 1, 1,
                                             {start, -1, length, -1}, sums.data(), length);
          add_block(sums.data(), length, s.channels, c0, width, dx + b * x.size(1) * s.channels);
        }
        add_block(tap_sums.data(), s.taps, s.channels, c0, width, dtaps);
      }
    });
  });
}

} // namespace

const ConvolutionSteps convolution{pack, unpack, direct_forward, direct_backward};

} // namespace ctorch::cpu

// Causal depthwise convolution with filters as long as the sequence.
//
//   out[b, t, c] = sum_j taps[j, c] x[b, s_b + t - j, c] + skip[c] x[b, s_b + t, c],      x = 0 before index 0
//
// x [B, M, C] holds the past of every row and its T new positions, which start at index s_b. By products of
// spectra, or by direct sums where those are cheaper. A transform of length n wraps around: with K taps the sums
// of index M + K - 2 land on M + K - 2 - n, so n >= M + K - 1 - min s_b keeps every wanted output clean, and
// n >= M every input. The gradients are correlations, products with conjugate spectra, at the same length:
//
//   dx[i] = sum_j taps[j] dout[i + j - s]            dtaps[j] = sum_{b, t} dout[t] x[s + t - j]
//
// Everything runs in float32, or float64 for float64 inputs.
#include "operators.h"

#include <ATen/Parallel.h>
#include <ATen/ops/fft_irfft.h>
#include <ATen/ops/fft_rfft.h>
#include <cmath>

namespace ctorch {
namespace {

enum Method : int64_t { kAutomatic = 0, kDirect = 1, kSpectral = 2 };

// The smallest product of 2, 3 and 5, a multiple of 8, that is at least `size`.
int64_t transform_length(int64_t size) {
  int64_t best = 8;
  while (best < size)
    best *= 2;
  for (int64_t five = 1; five < best; five *= 5)
    for (int64_t three = five; three < best; three *= 3) {
      int64_t n = three * 8;
      while (n < size)
        n *= 2;
      best = std::min(best, n);
    }
  return best;
}

struct Shape {
  int64_t batch, length, channels; // of x
  int64_t time;                    // of the output
  int64_t taps;                    // that can reach anything
  std::vector<int64_t> starts;
  int64_t first() const { return *std::min_element(starts.begin(), starts.end()); }
  int64_t transform() const { return transform_length(std::max(length, length + taps - 1 - first())); }
};

Shape shape_of(const at::Tensor &x, const at::Tensor &taps, at::IntArrayRef starts, int64_t time) {
  Shape shape{x.size(0), 0, x.size(2), time, 0, starts.vec()};
  for (auto start : starts)
    shape.length = std::max(shape.length, start + time);
  shape.taps = std::min(taps.size(0), shape.length);
  return shape;
}

bool prefers_direct(const Shape &s, Method method, const at::Tensor &x) {
  if (!has_row_kernels(x))
    return false;
  if (method != kAutomatic)
    return method == kDirect;
  // Measured: a tap costs about as much as a seventh of an element and level of a transform.
  double n = static_cast<double>(s.transform());
  double direct = static_cast<double>(s.batch * s.time) * static_cast<double>(s.taps);
  double spectral = 7.0 * static_cast<double>(2 * s.batch + 1) * n * std::log2(n);
  return direct < spectral;
}

// ---- Spectra ----

// Channels [first, first + count) of rows x[b, from_b ..< from_b + length_b] as [B, count, n] in the accumulator
// type, starting at index to_b; zero elsewhere.
struct Segment {
  int64_t from, to, length;
};

template <class T, class A>
void pack(const at::Tensor &x, const std::vector<Segment> &segments, int64_t first, int64_t count, at::Tensor &out) {
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
        for (int64_t c = 0; c < width; c++) {
          if constexpr (std::is_same_v<T, BF16>) {
            uint32_t bits = static_cast<uint32_t>(from[t * row + c].bits) << 16;
            to[c * n + t] = __builtin_bit_cast(float, bits);
          } else {
            to[c * n + t] = from[t * row + c];
          }
        }
    }
  });
}

at::Tensor packed(const at::Tensor &x, const std::vector<Segment> &segments, int64_t first, int64_t count, int64_t n) {
  auto type = accumulator_type(x.scalar_type());
  if (has_row_kernels(x) && x.stride(2) == 1) {
    auto out = at::empty({x.size(0), count, n}, x.options().dtype(type));
    with_element(x.scalar_type(),
                 [&]<class T>() { pack<T, typename Accumulator<T>::type>(x, segments, first, count, out); });
    return out;
  }
  auto out = at::zeros({x.size(0), count, n}, x.options().dtype(type));
  for (size_t b = 0; b < segments.size(); b++) {
    auto [from, to, length] = segments[b];
    out.select(0, b).narrow(1, to, length).copy_(
        x.select(0, b).narrow(0, from, length).narrow(1, first, count).transpose(0, 1));
  }
  return out;
}

// Adds rows y[b, c, from_b ..< from_b + length_b] to out[b, to_b ..., first + c]; out in the accumulator
// type, contiguous.
void unpack(const at::Tensor &y, const std::vector<Segment> &segments, int64_t first, at::Tensor &out) {
  int64_t batch = y.size(0), count = y.size(1);
  if (!has_row_kernels(y)) {
    for (size_t b = 0; b < segments.size(); b++) {
      auto [from, to, length] = segments[b];
      out.select(0, b).narrow(0, to, length).narrow(1, first, count).add_(
          y.select(0, b).narrow(1, from, length).transpose(0, 1));
    }
    return;
  }
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

std::vector<Segment> whole_rows(const Shape &s) {
  std::vector<Segment> result;
  for (auto start : s.starts)
    result.push_back({0, 0, start + s.time});
  return result;
}
std::vector<Segment> output_rows(const Shape &s) {
  std::vector<Segment> result;
  for (auto start : s.starts)
    result.push_back({0, start, s.time});
  return result;
}
std::vector<Segment> swapped(std::vector<Segment> segments) {
  for (auto &segment : segments)
    std::swap(segment.from, segment.to);
  return segments;
}

// Calls body(first, count) on ranges of channels whose signals fill a few megabytes.
template <class Body> void for_channels(const Shape &s, int64_t n, Body &&body) {
  int64_t elements = std::max<int64_t>(1, s.batch * n);
  int64_t count = std::max<int64_t>(16, (int64_t(1) << 20) / elements * thread_count() / 16 * 16);
  for (int64_t first = 0; first < s.channels; first += count)
    body(first, std::min(count, s.channels - first));
}

at::Tensor tap_spectrum(const at::Tensor &taps, const Shape &s, int64_t first, int64_t count, int64_t n,
                        at::ScalarType type) {
  auto rows = taps.narrow(0, 0, s.taps).narrow(1, first, count).transpose(0, 1).to(type).contiguous();
  return at::fft_rfft(rows, n, -1);
}

void spectral_forward(const at::Tensor &x, const at::Tensor &taps, const Shape &s, at::Tensor &out) {
  int64_t n = s.transform();
  auto inputs = whole_rows(s), outputs = swapped(output_rows(s));
  for_channels(s, n, [&](int64_t first, int64_t count) {
    auto spectrum = at::fft_rfft(packed(x, inputs, first, count, n), n, -1);
    spectrum.mul_(tap_spectrum(taps, s, first, count, n, out.scalar_type()));
    unpack(at::fft_irfft(spectrum, n, -1), outputs, first, out);
  });
}

void spectral_backward(const at::Tensor &x, const at::Tensor &taps, const Shape &s, const at::Tensor &out_gradient,
                       at::Tensor &x_gradient, at::Tensor &taps_gradient) {
  int64_t n = s.transform();
  auto inputs = whole_rows(s), outputs = output_rows(s);
  for_channels(s, n, [&](int64_t first, int64_t count) {
    auto gradient = at::fft_rfft(packed(out_gradient, outputs, first, count, n), n, -1);
    {
      auto spectrum = at::fft_rfft(packed(x, inputs, first, count, n), n, -1);
      auto product = spectrum.conj_physical_().mul_(gradient).sum(0);
      auto back = at::fft_irfft(product, n, -1).narrow(1, 0, s.taps);
      taps_gradient.narrow(0, 0, s.taps).narrow(1, first, count).copy_(back.transpose(0, 1));
    }
    gradient.mul_(tap_spectrum(taps, s, first, count, n, x_gradient.scalar_type()).conj_physical_());
    unpack(at::fft_irfft(gradient, n, -1), inputs, first, x_gradient);
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
    for (int64_t c = 0; c < width; c++) {
      if constexpr (std::is_same_v<T, BF16>) {
        uint32_t bits = static_cast<uint32_t>(x[(from + i) * row + c0 + c].bits) << 16;
        out[i * kPadding + c] = __builtin_bit_cast(float, bits);
      } else {
        out[i * kPadding + c] = x[(from + i) * row + c0 + c];
      }
    }
}
template <class A>
void add_block(const A *block, int64_t count, int64_t row, int64_t c0, int64_t width, A *out) {
  for (int64_t i = 0; i < count; i++)
    for (int64_t c = 0; c < width; c++)
      out[i * row + c0 + c] += block[i * kPadding + c];
}

// One or a few positions: every tap and input is read once, so they are streamed as they lie.
void streamed_forward(const at::Tensor &x, const at::Tensor &taps, const Shape &s, at::Tensor &out) {
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

void direct_forward(const at::Tensor &x, const at::Tensor &taps, const Shape &s, at::Tensor &out) {
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
        state_space_kernels<T>().correlate(packed_taps.data(), packed_signal.data() + (s.taps - 1) * kPadding, s.taps,
                                           1, -1, sums.data(), s.time);
        add_block(sums.data(), s.time, s.channels, c0, width, target + b * s.time * s.channels);
      }
    });
  });
}

void direct_backward(const at::Tensor &x, const at::Tensor &taps, const Shape &s, const at::Tensor &out_gradient,
                     at::Tensor &x_gradient, at::Tensor &taps_gradient) {
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
                                             tap_sums.data(), s.taps);
          std::fill(sums.begin(), sums.end(), A(0));
          state_space_kernels<T>().correlate(packed_taps.data(), packed_gradient.data(), s.taps, 1, 1, sums.data(),
                                             length);
          add_block(sums.data(), length, s.channels, c0, width, dx + b * x.size(1) * s.channels);
        }
        add_block(tap_sums.data(), s.taps, s.channels, c0, width, dtaps);
      }
    });
  });
}

// ---- The operator ----

// Rows of x at the new positions, [B, T, C].
at::Tensor new_rows(const at::Tensor &x, const Shape &s) {
  bool equal = std::all_of(s.starts.begin(), s.starts.end(), [&](int64_t start) { return start == s.starts[0]; });
  if (equal)
    return x.narrow(1, s.starts[0], s.time);
  std::vector<at::Tensor> rows;
  for (int64_t b = 0; b < s.batch; b++)
    rows.push_back(x.select(0, b).narrow(0, s.starts[b], s.time));
  return at::stack(rows);
}

at::Tensor unit_stride(const at::Tensor &x) { return x.stride(2) == 1 ? x : x.contiguous(); }

struct LongConvolution : torch::autograd::Function<LongConvolution> {
  static at::Tensor forward(AutogradContext *context, const at::Tensor &given_x, const at::Tensor &taps,
                            const OptionalTensor &skip, std::vector<int64_t> starts, int64_t time, int64_t method) {
    context->save_for_backward({given_x, taps, skip ? *skip : at::Tensor()});
    context->saved_data["starts"] = starts;
    context->saved_data["time"] = time;
    context->saved_data["method"] = method;
    auto x = unit_stride(given_x);
    auto type = accumulator_type(x.scalar_type());
    auto s = shape_of(x, taps, starts, time);
    auto out = skip ? new_rows(x, s).to(type).mul(skip->to(type)).contiguous()
                    : at::zeros({s.batch, time, s.channels}, x.options().dtype(type));
    auto wide = taps.to(type);
    if (prefers_direct(s, Method(method), x))
      direct_forward(x, wide.stride(1) == 1 ? wide : wide.contiguous(), s, out);
    else
      spectral_forward(x, wide, s, out);
    return out.to(x.scalar_type());
  }

  static variable_list backward(AutogradContext *context, variable_list gradients) {
    auto saved = context->get_saved_variables();
    auto x = unit_stride(saved[0]);
    const auto &taps = saved[1], &skip = saved[2];
    auto s = shape_of(x, taps, context->saved_data["starts"].toIntVector(), context->saved_data["time"].toInt());
    auto type = accumulator_type(x.scalar_type());
    auto gradient = gradients[0].to(type).contiguous();
    auto wide = taps.to(type);
    auto x_gradient = at::zeros(x.sizes(), x.options().dtype(type));
    auto taps_gradient = at::zeros(taps.sizes(), x.options().dtype(type));
    if (prefers_direct(s, Method(context->saved_data["method"].toInt()), x))
      direct_backward(x, wide.stride(1) == 1 ? wide : wide.contiguous(), s, gradient, x_gradient, taps_gradient);
    else
      spectral_backward(x, wide, s, gradient, x_gradient, taps_gradient);
    at::Tensor skip_gradient;
    if (skip.defined()) {
      auto factor = skip.to(type);
      skip_gradient = (gradient * new_rows(x, s)).sum(at::IntArrayRef{0, 1}).to(skip.scalar_type());
      for (int64_t b = 0; b < s.batch; b++)
        x_gradient.select(0, b).narrow(0, s.starts[b], s.time).addcmul_(gradient.select(0, b), factor);
    }
    return {x_gradient.to(x.scalar_type()), taps_gradient.to(taps.scalar_type()), skip_gradient,
            at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

} // namespace
} // namespace ctorch

using namespace ctorch;

ct_status ct_long_convolution(ct_tensor *out, ct_tensor input, ct_tensor taps, ct_tensor skip, const int64_t *starts,
                              int32_t rows, int64_t time, int32_t method) {
  return guarded([&] {
    const auto &x = input->value, &filter = taps->value;
    auto d = maybe(skip);
    TORCH_CHECK_VALUE(x.dim() == 3 && filter.dim() == 2 && filter.size(1) == x.size(2) && filter.size(0) >= 1,
                      "a long convolution needs x [B, M, C] and taps [L, C], found ", x.sizes(), " and ",
                      filter.sizes());
    TORCH_CHECK_VALUE(!d.defined() || (d.dim() == 1 && d.size(0) == x.size(2)), "the skip needs ", x.size(2),
                      " elements, found ", d.sizes());
    TORCH_CHECK_VALUE(rows == x.size(0) && rows >= 1 && time >= 1 && x.size(2) >= 1,
                      "a long convolution needs a start for each of ", x.size(0), " rows and at least one position");
    for (int32_t b = 0; b < rows; b++)
      TORCH_CHECK_VALUE(starts[b] >= 0 && starts[b] + time <= x.size(1), "positions ", starts[b], " to ",
                        starts[b] + time, " are outside an input of ", x.size(1));
    *out = box(LongConvolution::apply(x, filter, given(d), std::vector<int64_t>(starts, starts + rows), time,
                                      int64_t(method)));
  });
}

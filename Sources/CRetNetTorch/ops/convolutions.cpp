// Causal depthwise convolutions over time: with a few taps, and with filters as long as the sequence.
//
// A few taps, with x before the first position from a ring; sums run in float32 (float64 for float64 inputs):
//
//   out[t, c] = bias[c] + sum_j w[c, j] x[t - (W - 1) + j, c]
//
// Long filters:
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
#include "../library/profile.h"
#include "node.h"
#include "table.h"

#include <ATen/ops/fft_irfft.h>
#include <ATen/ops/fft_rfft.h>
#include <ATen/ops/sum.h>
#include <cmath>

namespace ctorch {
namespace {

// ---- A few taps ----

// The ring [B, W - 1, C] and x [B, T, C] one after the other, in the accumulator type.
at::Tensor extended(const at::Tensor &x, const at::Tensor &ring, int64_t width) {
  auto type = accumulator_type(x.scalar_type());
  auto past =
      ring.defined() ? ring.to(type) : make::zeros({x.size(0), width - 1, x.size(2)}, x.options().dtype(type));
  return make::joined({past, x.to(type)}, 1);
}

variable_list short_convolution(const at::Tensor &x, const at::Tensor &weight, const at::Tensor &bias,
                                const at::Tensor &ring) {
  bool has_bias = bias.defined();
  auto forward = [&]() -> Pass {
    int64_t width = weight.size(1), time = x.size(1);
    auto padded = extended(x, ring, width);
    auto taps = weight.to(padded.scalar_type());
    auto out = make::zeros({x.size(0), time, x.size(2)}, padded.options());
    if (has_bias)
      out.add_(bias.to(padded.scalar_type()));
    for (int64_t j = 0; j < width; j++)
      out.addcmul_(padded.narrow(1, j, time), taps.select(1, j));
    return {{out.to(x.scalar_type()), padded.narrow(1, time, width - 1).contiguous()}, {x, weight, ring}};
  };
  auto backward = [has_bias](const variable_list &saved, variable_list &gradients) -> variable_list {
    const auto &x = saved[0], &weight = saved[1], &ring = saved[2];
    int64_t width = weight.size(1), time = x.size(1);
    auto padded = extended(x, ring, width);
    auto taps = weight.to(padded.scalar_type());
    auto padded_gradient = make::zeros_like(padded);
    auto taps_gradient = make::empty({width, x.size(2)}, padded.options());
    at::Tensor bias_gradient;
    if (gradients[0].defined()) {
      auto g = gradients[0].to(padded.scalar_type());
      for (int64_t j = 0; j < width; j++) {
        padded_gradient.narrow(1, j, time).addcmul_(g, taps.select(1, j));
        auto row = taps_gradient.select(0, j);
        at::sum_out(row, g * padded.narrow(1, j, time), at::IntArrayRef{0, 1});
      }
      if (has_bias)
        bias_gradient = g.sum(at::IntArrayRef{0, 1}).to(weight.scalar_type());
    } else {
      taps_gradient.zero_();
    }
    if (gradients[1].defined())
      padded_gradient.narrow(1, time, width - 1).add_(gradients[1].to(padded.scalar_type()));
    at::Tensor ring_gradient;
    if (ring.defined())
      ring_gradient = padded_gradient.narrow(1, 0, width - 1).to(ring.scalar_type());
    return {padded_gradient.narrow(1, width - 1, time).to(x.scalar_type()),
            taps_gradient.t().to(weight.scalar_type()), bias_gradient, ring_gradient};
  };
  return record({x, weight, bias, ring}, forward, backward);
}

// ---- Long filters: steps by ATen operators, for devices without kernels ----

at::Tensor pack(const at::Tensor &x, const std::vector<Segment> &segments, int64_t first, int64_t count, int64_t n) {
  auto out = make::zeros({x.size(0), count, n}, x.options().dtype(accumulator_type(x.scalar_type())));
  for (size_t b = 0; b < segments.size(); b++) {
    auto [from, to, length] = segments[b];
    out.select(0, b)
        .narrow(1, to, length)
        .copy_(x.select(0, b).narrow(0, from, length).narrow(1, first, count).transpose(0, 1));
  }
  return out;
}

void unpack(const at::Tensor &y, const std::vector<Segment> &segments, int64_t first, at::Tensor &out) {
  for (size_t b = 0; b < segments.size(); b++) {
    auto [from, to, length] = segments[b];
    out.select(0, b)
        .narrow(0, to, length)
        .narrow(1, first, y.size(1))
        .add_(y.select(0, b).narrow(1, from, length).transpose(0, 1));
  }
}

constexpr ConvolutionSteps kConvolutionChain{pack, unpack, nullptr, nullptr};

// ---- Spectra ----

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

int64_t transform_of(const ConvolutionShape &s) {
  int64_t first = *std::min_element(s.starts.begin(), s.starts.end());
  return transform_length(std::max(s.length, s.length + s.taps - 1 - first));
}

ConvolutionShape shape_of(const at::Tensor &x, const at::Tensor &taps, at::IntArrayRef starts, int64_t time) {
  ConvolutionShape shape{x.size(0), 0, x.size(2), time, 0, starts.vec()};
  for (auto start : starts)
    shape.length = std::max(shape.length, start + time);
  shape.taps = std::min(taps.size(0), shape.length);
  return shape;
}

bool prefers_direct(const ConvolutionShape &s, ct_convolution_method method, const ConvolutionSteps *steps) {
  if (!steps->direct)
    return false;
  if (method != CT_CONVOLUTION_AUTOMATIC)
    return method == CT_CONVOLUTION_DIRECT;
  // Measured: a tap costs about as much as a seventh of an element and level of a transform.
  double n = static_cast<double>(transform_of(s));
  double direct = static_cast<double>(s.batch * s.time) * static_cast<double>(s.taps);
  double spectral = 7.0 * static_cast<double>(2 * s.batch + 1) * n * std::log2(n);
  return direct < spectral;
}

std::vector<Segment> whole_rows(const ConvolutionShape &s) {
  std::vector<Segment> result;
  for (auto start : s.starts)
    result.push_back({0, 0, start + s.time});
  return result;
}
std::vector<Segment> output_rows(const ConvolutionShape &s) {
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
template <class Body> void for_channels(const ConvolutionShape &s, int64_t n, Body &&body) {
  int64_t elements = std::max<int64_t>(1, s.batch * n);
  int64_t count = std::max<int64_t>(16, (int64_t(1) << 20) / elements * thread_count() / 16 * 16);
  for (int64_t first = 0; first < s.channels; first += count)
    body(first, std::min(count, s.channels - first));
}

at::Tensor tap_spectrum(const at::Tensor &taps, const ConvolutionShape &s, int64_t first, int64_t count, int64_t n,
                        at::ScalarType type) {
  auto rows = taps.narrow(0, 0, s.taps).narrow(1, first, count).transpose(0, 1).to(type).contiguous();
  return at::fft_rfft(rows, n, -1);
}

void spectral_forward(const at::Tensor &x, const at::Tensor &taps, const ConvolutionShape &s,
                      const ConvolutionSteps *steps, at::Tensor &out) {
  int64_t n = transform_of(s);
  auto inputs = whole_rows(s), outputs = swapped(output_rows(s));
  for_channels(s, n, [&](int64_t first, int64_t count) {
    auto spectrum = at::fft_rfft(steps->pack(x, inputs, first, count, n), n, -1);
    spectrum.mul_(tap_spectrum(taps, s, first, count, n, out.scalar_type()));
    steps->unpack(at::fft_irfft(spectrum, n, -1), outputs, first, out);
  });
}

void spectral_backward(const at::Tensor &x, const at::Tensor &taps, const ConvolutionShape &s,
                       const ConvolutionSteps *steps, const at::Tensor &out_gradient, at::Tensor &x_gradient,
                       at::Tensor &taps_gradient) {
  int64_t n = transform_of(s);
  auto inputs = whole_rows(s), outputs = output_rows(s);
  for_channels(s, n, [&](int64_t first, int64_t count) {
    auto gradient = at::fft_rfft(steps->pack(out_gradient, outputs, first, count, n), n, -1);
    {
      auto spectrum = at::fft_rfft(steps->pack(x, inputs, first, count, n), n, -1);
      auto product = spectrum.conj_physical_().mul_(gradient).sum(0);
      auto back = at::fft_irfft(product, n, -1).narrow(1, 0, s.taps);
      taps_gradient.narrow(0, 0, s.taps).narrow(1, first, count).copy_(back.transpose(0, 1));
    }
    gradient.mul_(tap_spectrum(taps, s, first, count, n, x_gradient.scalar_type()).conj_physical_());
    steps->unpack(at::fft_irfft(gradient, n, -1), inputs, first, x_gradient);
  });
}

// ---- The operator ----

// Rows of x at the new positions, [B, T, C].
at::Tensor new_rows(const at::Tensor &x, const ConvolutionShape &s) {
  bool equal = std::all_of(s.starts.begin(), s.starts.end(), [&](int64_t start) { return start == s.starts[0]; });
  if (equal)
    return x.narrow(1, s.starts[0], s.time);
  std::vector<at::Tensor> rows;
  for (int64_t b = 0; b < s.batch; b++)
    rows.push_back(x.select(0, b).narrow(0, s.starts[b], s.time));
  return make::stacked(rows, 0);
}

at::Tensor unit_stride(const at::Tensor &x) { return x.stride(2) == 1 ? x : x.contiguous(); }

at::Tensor long_convolution(const at::Tensor &given_x, const at::Tensor &taps, const at::Tensor &skip,
                            const std::vector<int64_t> &starts, int64_t time, ct_convolution_method method) {
  auto kernels = kernels_for(CT_OP_LONG_CONVOLUTION, given_x);
  auto steps = kernels ? kernels->convolution : &kConvolutionChain;
  bool has_skip = skip.defined();
  auto forward = [&]() -> Pass {
    auto x = unit_stride(given_x);
    auto type = accumulator_type(x.scalar_type());
    auto s = shape_of(x, taps, starts, time);
    auto out = has_skip ? new_rows(x, s).to(type).mul(skip.to(type)).contiguous()
                        : make::zeros({s.batch, time, s.channels}, x.options().dtype(type));
    auto wide = taps.to(type);
    if (prefers_direct(s, method, steps))
      steps->direct(x, wide.stride(1) == 1 ? wide : wide.contiguous(), s, out);
    else
      spectral_forward(x, wide, s, steps, out);
    return {{out.to(x.scalar_type())}, {given_x, taps, skip}};
  };
  auto backward = [starts, time, method, steps](const variable_list &saved,
                                                variable_list &gradients) -> variable_list {
    auto x = unit_stride(saved[0]);
    const auto &taps = saved[1], &skip = saved[2];
    auto s = shape_of(x, taps, starts, time);
    auto type = accumulator_type(x.scalar_type());
    auto gradient = gradients[0].to(type).contiguous();
    auto wide = taps.to(type);
    auto x_gradient = make::zeros(x.sizes(), x.options().dtype(type));
    auto taps_gradient = make::zeros(taps.sizes(), x.options().dtype(type));
    if (prefers_direct(s, method, steps))
      steps->direct_backward(x, wide.stride(1) == 1 ? wide : wide.contiguous(), s, gradient, x_gradient,
                             taps_gradient);
    else
      spectral_backward(x, wide, s, steps, gradient, x_gradient, taps_gradient);
    at::Tensor skip_gradient;
    if (skip.defined()) {
      auto factor = skip.to(type);
      skip_gradient = (gradient * new_rows(x, s)).sum(at::IntArrayRef{0, 1}).to(skip.scalar_type());
      for (int64_t b = 0; b < s.batch; b++)
        x_gradient.select(0, b).narrow(0, s.starts[b], s.time).addcmul_(gradient.select(0, b), factor);
    }
    return {x_gradient.to(x.scalar_type()), taps_gradient.to(taps.scalar_type()), skip_gradient};
  };
  return record({given_x, taps, skip}, forward, backward)[0];
}

} // namespace
} // namespace ctorch

using namespace ctorch;

ct_status ct_short_convolution(ct_tensor *out, ct_tensor *ring_out, ct_tensor x, ct_tensor weight, ct_tensor bias,
                               ct_tensor ring, ct_activation activation, bool trains) {
  return guarded([&] {
    profile::Scope scope(CT_PART_CORE);
    const auto &input = x->value, &taps = weight->value;
    auto b = maybe(bias), r = maybe(ring);
    TORCH_CHECK_VALUE(input.dim() == 3 && taps.dim() == 2 && taps.size(0) == input.size(2) && taps.size(1) >= 1,
                      "a short convolution needs x [B, T, C] and weight [C, W], found ", input.sizes(), " and ",
                      taps.sizes());
    TORCH_CHECK_VALUE(!b.defined() || b.numel() == taps.size(0), "the bias must have ", taps.size(0), " elements");
    TORCH_CHECK_VALUE(!r.defined() || (r.dim() == 3 && r.size(0) == input.size(0) && r.size(1) == taps.size(1) - 1 &&
                                       r.size(2) == taps.size(0)),
                      "the ring ", r.sizes(), " does not fit x ", input.sizes(), " and weight ", taps.sizes());
    auto kernels = trains && input.numel() > 0 ? kernels_for(CT_OP_SHORT_CONVOLUTION, input) : nullptr;
    auto results =
        kernels ? kernels->short_convolution(input, taps, b, r, activation) : short_convolution(input, taps, b, r);
    bool is_done = kernels || activation == CT_ACTIVATION_NONE;
    *out = box(is_done ? results[0] : gated_activation(results[0], at::Tensor(), activation));
    *ring_out = box(results[1]);
  });
}

ct_status ct_long_convolution(ct_tensor *out, ct_tensor input, ct_tensor taps, ct_tensor skip, const int64_t *starts,
                              int32_t rows, int64_t time, ct_convolution_method method) {
  return guarded([&] {
    profile::Scope scope(CT_PART_CORE);
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
    *out = box(long_convolution(x, filter, d, std::vector<int64_t>(starts, starts + rows), time, method));
  });
}

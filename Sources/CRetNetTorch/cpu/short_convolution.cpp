// Causal convolutions with a few taps for processors: with the activation behind them one pass over memory each way. Only the
// inputs are kept for the backward pass.
#include "operators.h"

namespace ctorch::cpu {
namespace {

// Operands of all sequences and blocks of channels: x [B, T, C] with dense rows, taps [W, C], the others contiguous.
struct ConvolutionTensors {
  at::Tensor x, taps, bias, ring;
  ct_activation activation;

  int64_t width() const { return taps.size(0); }
  int64_t channels() const { return x.size(2); }
  int64_t blocks() const { return (channels() + kConvolutionBlock - 1) / kConvolutionBlock; }

  // Calls body(b, c0, convolution, scratch) with every block of channels from c0 on of every sequence b.
  template <class T, class Body> void for_blocks(Body &&body) const {
    using A = typename Accumulator<T>::type;
    int64_t time = x.size(1);
    parallel_for(x.size(0) * blocks(), row_grain(time * kConvolutionBlock), [&](int64_t begin, int64_t end) {
      std::vector<A> scratch(short_convolution_kernels<T>().scratch(kConvolutionBlock, width()));
      for (int64_t i = begin; i < end; i++) {
        int64_t b = i / blocks(), c0 = i % blocks() * kConvolutionBlock;
        const A *past = data<A>(ring), *shift = data<A>(bias);
        ShortConvolution<T> c{time,
                              std::min(kConvolutionBlock, channels() - c0),
                              width(),
                              data<T>(x) + b * x.stride(0) + c0,
                              x.stride(1),
                              data<A>(taps) + c0,
                              shift ? shift + c0 : nullptr,
                              past ? past + b * (width() - 1) * channels() + c0 : nullptr,
                              channels(),
                              activation};
        body(b, c0, c, scratch.data());
      }
    });
  }
};

} // namespace

variable_list short_convolution(const at::Tensor &x, const at::Tensor &weight, const at::Tensor &bias,
                                const at::Tensor &ring, ct_activation activation) {
  auto tensors = [activation](const at::Tensor &x, const at::Tensor &weight, const at::Tensor &bias,
                              const at::Tensor &ring) -> ConvolutionTensors {
    auto wide = accumulator_type(x.scalar_type());
    auto widened = [&](const at::Tensor &t) { return t.defined() ? t.to(wide).contiguous() : t; };
    return {x.stride(2) == 1 ? x : x.contiguous(), weight.to(wide).t().contiguous(), widened(bias), widened(ring),
            activation};
  };
  auto forward = [&]() -> Pass {
    auto t = tensors(x, weight, bias, ring);
    auto out = make::empty(x.sizes(), x.options());
    auto next = make::empty({x.size(0), t.width() - 1, t.channels()}, t.taps.options());
    with_element(x.scalar_type(), [&]<class T>() {
      using A = typename Accumulator<T>::type;
      T *to = mutable_data<T>(out);
      A *last = mutable_data<A>(next);
      t.for_blocks<T>([&](int64_t b, int64_t c0, const ShortConvolution<T> &c, A *scratch) {
        short_convolution_kernels<T>().forward(c, to + b * c.time * c.step + c0, c.step,
                                               last + b * (c.width - 1) * c.step + c0, scratch);
      });
    });
    return {{out, next}, {x, weight, bias, ring}};
  };
  auto backward = [tensors](const variable_list &saved, variable_list &gradients) -> variable_list {
    auto t = tensors(saved[0], saved[1], saved[2], saved[3]);
    auto type = t.x.scalar_type();
    auto wide = t.taps.options();
    auto d_out = gradients[0].defined() ? gradients[0].to(type).contiguous() : make::zeros(t.x.sizes(), t.x.options());
    auto d_next = gradients[1].defined() ? gradients[1].to(t.taps.scalar_type()).contiguous() : at::Tensor();
    int64_t batch = t.x.size(0), channels = t.channels(), width = t.width();
    auto d_x = make::empty(t.x.sizes(), t.x.options());
    auto d_ring = t.ring.defined() ? make::empty_like(t.ring) : at::Tensor();
    // Sums are kept per sequence and added in order: the result does not depend on the threads.
    auto d_taps = make::zeros({batch, width, channels}, wide);
    auto d_bias = t.bias.defined() ? make::zeros({batch, channels}, wide) : at::Tensor();
    with_element(type, [&]<class T>() {
      using A = typename Accumulator<T>::type;
      t.for_blocks<T>([&](int64_t b, int64_t c0, const ShortConvolution<T> &c, A *scratch) {
        auto place = [&](const at::Tensor &x, int64_t rows) {
          return x.defined() ? mutable_data<A>(x) + b * rows * channels + c0 : nullptr;
        };
        int64_t offset = b * c.time * channels + c0;
        ConvolutionGradients<T> g{data<T>(d_out) + offset,
                                  channels,
                                  place(d_next, width - 1),
                                  mutable_data<T>(d_x) + offset,
                                  channels,
                                  place(d_ring, width - 1),
                                  place(d_taps, width),
                                  place(d_bias, 1)};
        short_convolution_kernels<T>().backward(c, g, scratch);
      });
    });
    const auto &weight = saved[1], &bias = saved[2], &ring = saved[3];
    return {d_x, d_taps.sum(0).t().to(weight.scalar_type()),
            bias.defined() ? d_bias.sum(0).to(bias.scalar_type()) : at::Tensor(),
            ring.defined() ? d_ring.to(ring.scalar_type()) : at::Tensor()};
  };
  return record({x, weight, bias, ring}, forward, backward, MissingGradients::undefined);
}

} // namespace ctorch::cpu

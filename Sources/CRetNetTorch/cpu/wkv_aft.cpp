// Averages with exponential weights and hand-written gradients: the WKV operator of RWKV-4 (arXiv 2305.13048)
// and the biased window of AFT (arXiv 2105.14103), for processors.
//
// Rows [B, T, C] are cut into blocks of channels; a block runs through time on one core. Sums, exponents and
// weights are float32 (float64 for float64 inputs) whatever the type of keys and values.
#include "operators.h"

namespace ctorch::cpu {
namespace {

// Numerator, denominator and exponent [B, C] of the tokens before: the given ones, or zeros for none.
struct Sums {
  at::Tensor numerator, denominator, exponent;

  Sums(const at::Tensor &n, const at::Tensor &d, const at::Tensor &e, const at::Tensor &like)
      : numerator(prepared(n, like)), denominator(prepared(d, like)), exponent(prepared(e, like)) {}

  static at::Tensor prepared(const at::Tensor &given, const at::Tensor &like) {
    auto type = accumulator_type(like.scalar_type());
    if (!given.defined())
      return make::zeros({like.size(0), like.size(2)}, like.options().dtype(type));
    return given.to(type).clone(at::MemoryFormat::Contiguous);
  }
  template <class A> RunningSums<A> at(int64_t offset) const {
    return {mutable_data<A>(numerator) + offset, mutable_data<A>(denominator) + offset,
            mutable_data<A>(exponent) + offset};
  }
};

int64_t block_count(int64_t channels) { return (channels + kAverageBlock - 1) / kAverageBlock; }
int64_t block_size(int64_t channels, int64_t block) {
  return std::min(kAverageBlock, channels - block * kAverageBlock);
}
// Tasks a thread should at least get.
int64_t task_grain(int64_t work) { return std::max<int64_t>(1, 2048 / std::max<int64_t>(work, 1)); }

WindowShape shape_of(const WindowPlan &plan, int64_t row, int64_t time, int64_t channels, int64_t columns) {
  WindowShape s{time, channels, plan.starts[row], plan.ends[row], channels, plan.window, columns, 1, plan.absorbs};
  if (plan.matrix) {
    s.bias_step = columns + 1;
    s.bias_lag = -1;
  }
  return s;
}
// Where the bias of the first token at lag 0 is, within a row's [T, columns].
int64_t bias_origin(const WindowPlan &plan, int64_t row) {
  return plan.matrix ? plan.ends[row] - plan.starts[row] : 0;
}

} // namespace

variable_list wkv(const at::Tensor &key, const at::Tensor &value, const at::Tensor &decay, const at::Tensor &bonus,
                  const RunningTensors &before) {
  auto forward = [&]() -> Pass {
    int64_t batch = key.size(0), time = key.size(1), channels = key.size(2), blocks = block_count(channels);
    Sums sums(before.numerator, before.denominator, before.exponent, key);
    auto out = make::empty_like(value);
    with_element(key.scalar_type(), [&]<class T>() {
      using A = typename Accumulator<T>::type;
      const T *k = data<T>(key), *v = data<T>(value);
      const A *w = data<A>(decay), *u = data<A>(bonus);
      T *y = mutable_data<T>(out);
      parallel_for(
          batch * blocks, task_grain(time * std::min(channels, kAverageBlock)), [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; i++) {
              int64_t row = i / blocks, first = i % blocks * kAverageBlock, offset = row * time * channels + first;
              average_kernels<T>().wkv_forward(k + offset, v + offset, w + first, u + first,
                                               sums.at<A>(row * channels + first), y + offset, time, channels,
                                               block_size(channels, i % blocks));
            }
          });
    });
    return {{out, sums.numerator, sums.denominator, sums.exponent},
            {key, value, decay, bonus, before.numerator, before.denominator, before.exponent}};
  };
  auto backward = [](const variable_list &saved, variable_list &gradients) -> variable_list {
    const auto &key = saved[0], &value = saved[1], &decay = saved[2], &bonus = saved[3];
    int64_t batch = key.size(0), time = key.size(1), channels = key.size(2), blocks = block_count(channels);
    auto d_out = gradients[0].defined() ? gradients[0].contiguous() : make::zeros_like(value);
    Sums sums(saved[4], saved[5], saved[6], key), d_sums(gradients[1], gradients[2], gradients[3], key);
    auto d_key = make::empty_like(key), d_value = make::empty_like(value);
    auto d_decay = make::zeros({batch, channels}, decay.options()), d_bonus = make::zeros_like(d_decay);
    with_element(key.scalar_type(), [&]<class T>() {
      using A = typename Accumulator<T>::type;
      const T *k = data<T>(key), *v = data<T>(value), *g = data<T>(d_out);
      const A *w = data<A>(decay), *u = data<A>(bonus);
      T *dk = mutable_data<T>(d_key), *dv = mutable_data<T>(d_value);
      A *dw = mutable_data<A>(d_decay), *du = mutable_data<A>(d_bonus);
      parallel_for(
          batch * blocks, task_grain(time * std::min(channels, kAverageBlock)), [&](int64_t begin, int64_t end) {
            std::vector<A> scratch(3 * time * kAverageBlock);
            for (int64_t i = begin; i < end; i++) {
              int64_t row = i / blocks, first = i % blocks * kAverageBlock, offset = row * time * channels + first;
              int64_t place = row * channels + first;
              average_kernels<T>().wkv_backward(k + offset, v + offset, w + first, u + first, sums.at<A>(place),
                                                g + offset, d_sums.at<A>(place), dk + offset, dv + offset, dw + place,
                                                du + place, scratch.data(), time, channels,
                                                block_size(channels, i % blocks));
            }
          });
    });
    auto of_state = [](const at::Tensor &gradient, const at::Tensor &given) {
      return given.defined() ? gradient.to(given.scalar_type()) : at::Tensor();
    };
    return {d_key,
            d_value,
            d_decay.sum(0),
            d_bonus.sum(0),
            of_state(d_sums.numerator, saved[4]),
            of_state(d_sums.denominator, saved[5]),
            of_state(d_sums.exponent, saved[6])};
  };
  return record({key, value, decay, bonus, before.numerator, before.denominator, before.exponent}, forward, backward);
}

variable_list biased_window(const at::Tensor &key, const at::Tensor &value, const at::Tensor &bias,
                            const at::Tensor &old_k, const at::Tensor &old_v, const RunningTensors &before,
                            const WindowPlan &plan) {
  auto forward = [&]() -> Pass {
    int64_t batch = key.size(0), time = key.size(1), channels = key.size(2), blocks = block_count(channels);
    int64_t columns = bias.size(2), bias_rows = bias.size(0);
    Sums sums(before.numerator, before.denominator, before.exponent, key);
    auto out = make::empty_like(value);
    int64_t capacity = old_k.defined() ? old_k.size(1) : 0;
    with_element(key.scalar_type(), [&]<class T>() {
      using A = typename Accumulator<T>::type;
      const T *k = data<T>(key), *v = data<T>(value), *pk = data<T>(old_k), *pv = data<T>(old_v);
      const A *b = data<A>(bias);
      T *y = mutable_data<T>(out);
      parallel_for(batch * blocks, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
          int64_t row = i / blocks, first = i % blocks * kAverageBlock, offset = row * time * channels + first;
          int64_t past = capacity ? row * capacity * channels + first : 0;
          auto shape = shape_of(plan, row, time, channels, columns);
          average_kernels<T>().window_forward(
              k + offset, v + offset, pk ? pk + past : nullptr, pv ? pv + past : nullptr,
              b + (bias_rows == 1 ? 0 : row) * time * columns + bias_origin(plan, row),
              sums.at<A>(row * channels + first), y + offset, shape, block_size(channels, i % blocks));
        }
      });
    });
    return {{out, sums.numerator, sums.denominator, sums.exponent},
            {key, value, bias, old_k, old_v, before.numerator, before.denominator, before.exponent}};
  };
  auto backward = [plan](const variable_list &saved, variable_list &gradients) -> variable_list {
    const auto &key = saved[0], &value = saved[1], &bias = saved[2], &old_k = saved[3], &old_v = saved[4];
    int64_t batch = key.size(0), time = key.size(1), channels = key.size(2), blocks = block_count(channels);
    int64_t columns = bias.size(2), bias_rows = bias.size(0), capacity = old_k.defined() ? old_k.size(1) : 0;
    auto d_out = gradients[0].defined() ? gradients[0].contiguous() : make::zeros_like(value);
    Sums sums(saved[5], saved[6], saved[7], key), d_sums(gradients[1], gradients[2], gradients[3], key);
    auto wide = key.options().dtype(accumulator_type(key.scalar_type()));
    auto zeros = [&](const at::Tensor &t) { return t.defined() ? make::zeros(t.sizes(), wide) : at::Tensor(); };
    auto d_key = zeros(key), d_value = zeros(value), d_old_k = zeros(old_k), d_old_v = zeros(old_v);
    // Biases are shared by all channels: blocks of channels add to parts of their own, few enough to be held,
    // and as many whatever the number of threads.
    int64_t parts = batch >= 4 ? 1 : std::min<int64_t>(blocks, 4);
    auto d_bias = make::zeros({batch, parts, time, columns}, wide);
    with_element(key.scalar_type(), [&]<class T>() {
      using A = typename Accumulator<T>::type;
      const T *k = data<T>(key), *v = data<T>(value), *pk = data<T>(old_k), *pv = data<T>(old_v);
      const T *g = data<T>(d_out);
      const A *b = data<A>(bias);
      A *dk = mutable_data<A>(d_key), *dv = mutable_data<A>(d_value);
      A *dpk = mutable_data<A>(d_old_k), *dpv = mutable_data<A>(d_old_v), *db = mutable_data<A>(d_bias);
      parallel_for(batch * parts, 1, [&](int64_t begin, int64_t end) {
        std::vector<A> scratch(3 * time * kAverageBlock);
        for (int64_t i = begin; i < end; i++) {
          int64_t row = i / parts, part = i % parts;
          auto shape = shape_of(plan, row, time, channels, columns);
          for (int64_t block = blocks * part / parts; block < blocks * (part + 1) / parts; block++) {
            int64_t first = block * kAverageBlock, offset = row * time * channels + first;
            int64_t past = capacity ? row * capacity * channels + first : 0, place = row * channels + first;
            average_kernels<T>().window_backward(
                k + offset, v + offset, pk ? pk + past : nullptr, pv ? pv + past : nullptr,
                b + (bias_rows == 1 ? 0 : row) * time * columns + bias_origin(plan, row), sums.at<A>(place),
                g + offset, d_sums.at<A>(place), dk + offset, dv + offset, dpk ? dpk + past : nullptr,
                dpv ? dpv + past : nullptr, db + i * time * columns + bias_origin(plan, row), scratch.data(), shape,
                block_size(channels, block));
          }
        }
      });
    });
    auto like = [](const at::Tensor &gradient, const at::Tensor &given) {
      return given.defined() ? gradient.to(given.scalar_type()) : at::Tensor();
    };
    auto rows = d_bias.sum(1);
    return {like(d_key, key),
            like(d_value, value),
            bias_rows == 1 ? rows.sum(0, true) : rows,
            like(d_old_k, old_k),
            like(d_old_v, old_v),
            like(d_sums.numerator, saved[5]),
            like(d_sums.denominator, saved[6]),
            like(d_sums.exponent, saved[7])};
  };
  return record({key, value, bias, old_k, old_v, before.numerator, before.denominator, before.exponent}, forward,
                backward);
}

} // namespace ctorch::cpu

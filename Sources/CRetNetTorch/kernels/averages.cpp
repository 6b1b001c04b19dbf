// Averages with exponential weights and hand-written gradients: the WKV operator of RWKV-4 (arXiv 2305.13048)
// and the biased window of AFT (arXiv 2105.14103).
//
// Rows [B, T, C] are cut into blocks of channels; a block runs through time on one core. Sums, exponents and
// weights are float32 (float64 for float64 inputs) whatever the type of keys and values.
#include "operators.h"

namespace ctorch {
namespace {

// Numerator, denominator and exponent [B, C] of the tokens before: the given ones, or zeros for none.
struct Sums {
  at::Tensor numerator, denominator, exponent;

  Sums(const at::Tensor &n, const at::Tensor &d, const at::Tensor &e, const at::Tensor &like)
      : numerator(prepared(n, like)), denominator(prepared(d, like)), exponent(prepared(e, like)) {}

  static at::Tensor prepared(const at::Tensor &given, const at::Tensor &like) {
    auto type = accumulator_type(like.scalar_type());
    if (!given.defined())
      return at::zeros({like.size(0), like.size(2)}, like.options().dtype(type));
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

at::Tensor known(const OptionalTensor &t) { return t.value_or(at::Tensor()); }

struct WKV : torch::autograd::Function<WKV> {
  static variable_list forward(AutogradContext *ctx, const at::Tensor &key, const at::Tensor &value,
                               const at::Tensor &decay, const at::Tensor &bonus, const OptionalTensor &numerator,
                               const OptionalTensor &denominator, const OptionalTensor &exponent) {
    ctx->save_for_backward({key, value, decay, bonus, known(numerator), known(denominator), known(exponent)});
    int64_t batch = key.size(0), time = key.size(1), channels = key.size(2), blocks = block_count(channels);
    Sums sums(known(numerator), known(denominator), known(exponent), key);
    auto out = at::empty_like(value);
    with_element(key.scalar_type(), [&]<class T>() {
      using A = typename Accumulator<T>::type;
      const T *k = data<T>(key), *v = data<T>(value);
      const A *w = data<A>(decay), *u = data<A>(bonus);
      T *y = mutable_data<T>(out);
      parallel_for(batch * blocks, task_grain(time * std::min(channels, kAverageBlock)), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
          int64_t row = i / blocks, first = i % blocks * kAverageBlock, offset = row * time * channels + first;
          average_kernels<T>().wkv_forward(k + offset, v + offset, w + first, u + first,
                                           sums.at<A>(row * channels + first), y + offset, time, channels,
                                           block_size(channels, i % blocks));
        }
      });
    });
    return {out, sums.numerator, sums.denominator, sums.exponent};
  }

  static variable_list backward(AutogradContext *ctx, variable_list gradients) {
    auto saved = ctx->get_saved_variables();
    const auto &key = saved[0], &value = saved[1], &decay = saved[2], &bonus = saved[3];
    int64_t batch = key.size(0), time = key.size(1), channels = key.size(2), blocks = block_count(channels);
    auto d_out = gradients[0].defined() ? gradients[0].contiguous() : at::zeros_like(value);
    Sums sums(saved[4], saved[5], saved[6], key), d_sums(gradients[1], gradients[2], gradients[3], key);
    auto d_key = at::empty_like(key), d_value = at::empty_like(value);
    auto d_decay = at::zeros({batch, channels}, decay.options()), d_bonus = at::zeros_like(d_decay);
    with_element(key.scalar_type(), [&]<class T>() {
      using A = typename Accumulator<T>::type;
      const T *k = data<T>(key), *v = data<T>(value), *g = data<T>(d_out);
      const A *w = data<A>(decay), *u = data<A>(bonus);
      T *dk = mutable_data<T>(d_key), *dv = mutable_data<T>(d_value);
      A *dw = mutable_data<A>(d_decay), *du = mutable_data<A>(d_bonus);
      parallel_for(batch * blocks, task_grain(time * std::min(channels, kAverageBlock)), [&](int64_t begin, int64_t end) {
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
    return {d_key, d_value, d_decay.sum(0), d_bonus.sum(0), of_state(d_sums.numerator, saved[4]),
            of_state(d_sums.denominator, saved[5]), of_state(d_sums.exponent, saved[6])};
  }
};

// What a window needs beside tensors: saved with the graph.
struct WindowPlan {
  std::vector<int64_t> starts, ends; // valid entries of every row's history
  int64_t window;
  bool matrix, absorbs;

  WindowShape shape(int64_t row, int64_t time, int64_t channels, int64_t columns) const {
    WindowShape s{time, channels, starts[row], ends[row], channels, window, columns, 1, absorbs};
    if (matrix) {
      s.bias_step = columns + 1;
      s.bias_lag = -1;
    }
    return s;
  }
  // Where the bias of the first token at lag 0 is, within a row's [T, columns].
  int64_t bias_origin(int64_t row) const { return matrix ? ends[row] - starts[row] : 0; }
};

struct BiasedWindow : torch::autograd::Function<BiasedWindow> {
  static variable_list forward(AutogradContext *ctx, const at::Tensor &key, const at::Tensor &value,
                               const at::Tensor &bias, const OptionalTensor &past_key,
                               const OptionalTensor &past_value, const OptionalTensor &numerator,
                               const OptionalTensor &denominator, const OptionalTensor &exponent,
                               std::vector<int64_t> starts, std::vector<int64_t> ends, int64_t window, bool matrix,
                               bool absorbs) {
    ctx->save_for_backward({key, value, bias, known(past_key), known(past_value), known(numerator),
                            known(denominator), known(exponent)});
    ctx->saved_data["starts"] = starts;
    ctx->saved_data["ends"] = ends;
    ctx->saved_data["window"] = window;
    ctx->saved_data["matrix"] = matrix;
    ctx->saved_data["absorbs"] = absorbs;
    WindowPlan plan{std::move(starts), std::move(ends), window, matrix, absorbs};
    int64_t batch = key.size(0), time = key.size(1), channels = key.size(2), blocks = block_count(channels);
    int64_t columns = bias.size(2), bias_rows = bias.size(0);
    Sums sums(known(numerator), known(denominator), known(exponent), key);
    auto out = at::empty_like(value), old_k = known(past_key), old_v = known(past_value);
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
          auto shape = plan.shape(row, time, channels, columns);
          average_kernels<T>().window_forward(
              k + offset, v + offset, pk ? pk + past : nullptr, pv ? pv + past : nullptr,
              b + (bias_rows == 1 ? 0 : row) * time * columns + plan.bias_origin(row),
              sums.at<A>(row * channels + first), y + offset, shape, block_size(channels, i % blocks));
        }
      });
    });
    return {out, sums.numerator, sums.denominator, sums.exponent};
  }

  static variable_list backward(AutogradContext *ctx, variable_list gradients) {
    auto saved = ctx->get_saved_variables();
    const auto &key = saved[0], &value = saved[1], &bias = saved[2], &old_k = saved[3], &old_v = saved[4];
    WindowPlan plan{ctx->saved_data["starts"].toIntVector(), ctx->saved_data["ends"].toIntVector(),
                    ctx->saved_data["window"].toInt(), ctx->saved_data["matrix"].toBool(),
                    ctx->saved_data["absorbs"].toBool()};
    int64_t batch = key.size(0), time = key.size(1), channels = key.size(2), blocks = block_count(channels);
    int64_t columns = bias.size(2), bias_rows = bias.size(0), capacity = old_k.defined() ? old_k.size(1) : 0;
    auto d_out = gradients[0].defined() ? gradients[0].contiguous() : at::zeros_like(value);
    Sums sums(saved[5], saved[6], saved[7], key), d_sums(gradients[1], gradients[2], gradients[3], key);
    auto wide = key.options().dtype(accumulator_type(key.scalar_type()));
    auto zeros = [&](const at::Tensor &t) { return t.defined() ? at::zeros(t.sizes(), wide) : at::Tensor(); };
    auto d_key = zeros(key), d_value = zeros(value), d_old_k = zeros(old_k), d_old_v = zeros(old_v);
    // Biases are shared by all channels: blocks of channels add to parts of their own, few enough to be held,
    // and as many whatever the number of threads.
    int64_t parts = batch >= 4 ? 1 : std::min<int64_t>(blocks, 4);
    auto d_bias = at::zeros({batch, parts, time, columns}, wide);
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
          auto shape = plan.shape(row, time, channels, columns);
          for (int64_t block = blocks * part / parts; block < blocks * (part + 1) / parts; block++) {
            int64_t first = block * kAverageBlock, offset = row * time * channels + first;
            int64_t past = capacity ? row * capacity * channels + first : 0, place = row * channels + first;
            average_kernels<T>().window_backward(
                k + offset, v + offset, pk ? pk + past : nullptr, pv ? pv + past : nullptr,
                b + (bias_rows == 1 ? 0 : row) * time * columns + plan.bias_origin(row), sums.at<A>(place),
                g + offset, d_sums.at<A>(place), dk + offset, dv + offset, dpk ? dpk + past : nullptr,
                dpv ? dpv + past : nullptr, db + i * time * columns + plan.bias_origin(row), scratch.data(), shape,
                block_size(channels, block));
          }
        }
      });
    });
    auto like = [](const at::Tensor &gradient, const at::Tensor &given) {
      return given.defined() ? gradient.to(given.scalar_type()) : at::Tensor();
    };
    auto rows = d_bias.sum(1);
    auto none = at::Tensor();
    return {like(d_key, key), like(d_value, value), bias_rows == 1 ? rows.sum(0, true) : rows,
            like(d_old_k, old_k), like(d_old_v, old_v), like(d_sums.numerator, saved[5]),
            like(d_sums.denominator, saved[6]), like(d_sums.exponent, saved[7]), none, none, none, none, none};
  }
};

void check_rows(const at::Tensor &key, const at::Tensor &value) {
  TORCH_CHECK_VALUE(key.dim() == 3 && value.sizes() == key.sizes(), "keys ", key.sizes(), " and values ",
                    value.sizes(), " must both be [B, T, C]");
  TORCH_CHECK_VALUE(key.size(1) >= 1, "an average needs at least one position");
  TORCH_CHECK_TYPE(key.scalar_type() == value.scalar_type() && has_row_kernels(key),
                   "keys and values must both be float32, float64 or bfloat16 on the CPU");
}

void check_sums(const at::Tensor &key, std::initializer_list<at::Tensor> sums) {
  bool given = sums.begin()->defined();
  for (const auto &t : sums) {
    TORCH_CHECK_VALUE(t.defined() == given, "numerator, denominator and exponent go together");
    TORCH_CHECK_VALUE(!given || (t.dim() == 2 && t.size(0) == key.size(0) && t.size(1) == key.size(2)), "the sums ",
                      t.sizes(), " do not fit keys ", key.sizes());
  }
}

void write(ct_tensor *out, const variable_list &results) {
  for (size_t i = 0; i < results.size(); i++)
    out[i] = box(results[i]);
}

} // namespace
} // namespace ctorch

using namespace ctorch;

ct_status ct_wkv(ct_tensor *out, ct_tensor key, ct_tensor value, ct_tensor decay, ct_tensor bonus,
                 ct_tensor numerator, ct_tensor denominator, ct_tensor exponent) {
  return guarded([&] {
    auto k = key->value.contiguous(), v = value->value.contiguous();
    auto n = maybe(numerator), d = maybe(denominator), e = maybe(exponent);
    check_rows(k, v);
    check_sums(k, {n, d, e});
    auto channelwise = [&](ct_tensor t, const char *what) {
      TORCH_CHECK_VALUE(t->value.dim() == 1 && t->value.size(0) == k.size(2), what, " ", t->value.sizes(),
                        " must have one number for each of the ", k.size(2), " channels");
      return t->value.to(accumulator_type(k.scalar_type())).contiguous();
    };
    auto w = channelwise(decay, "the decay"), u = channelwise(bonus, "the bonus");
    write(out, WKV::apply(k, v, w, u, given(n), given(d), given(e)));
  });
}

ct_status ct_biased_window(ct_tensor *out, ct_tensor key, ct_tensor value, ct_tensor bias, ct_tensor past_key,
                           ct_tensor past_value, ct_tensor numerator, ct_tensor denominator, ct_tensor exponent,
                           const int64_t *starts, const int64_t *ends, int64_t window, bool matrix, bool absorbs) {
  return guarded([&] {
    auto k = key->value.contiguous(), v = value->value.contiguous();
    auto b = bias->value.to(accumulator_type(k.scalar_type())).contiguous();
    auto pk = maybe(past_key), pv = maybe(past_value);
    auto n = maybe(numerator), d = maybe(denominator), e = maybe(exponent);
    check_rows(k, v);
    check_sums(k, {n, d, e});
    int64_t batch = k.size(0), time = k.size(1), capacity = 0;
    TORCH_CHECK_VALUE(pk.defined() == pv.defined(), "keys and values of the history go together");
    if (pk.defined()) {
      TORCH_CHECK_VALUE(pk.dim() == 3 && pv.sizes() == pk.sizes() && pk.size(0) == batch && pk.size(2) == k.size(2),
                        "the history ", pk.sizes(), " and ", pv.sizes(), " does not fit keys ", k.sizes());
      pk = pk.to(k.scalar_type()).contiguous();
      pv = pv.to(k.scalar_type()).contiguous();
      capacity = pk.size(1);
    }
    TORCH_CHECK_VALUE(b.dim() == 3 && (b.size(0) == 1 || b.size(0) == batch) && b.size(1) == time, "biases ",
                      b.sizes(), " do not fit keys ", k.sizes());
    TORCH_CHECK_VALUE(window >= 1 && (matrix || b.size(2) >= window), "a window of ", window, " needs as many biases");
    std::vector<int64_t> first(starts, starts + batch), last(ends, ends + batch);
    for (int64_t row = 0; row < batch; row++) {
      int64_t count = last[row] - first[row];
      TORCH_CHECK_VALUE(first[row] >= 0 && count >= 0 && last[row] <= capacity, "row ", row, " of the history has ",
                        capacity, " entries; ", first[row], " ..< ", last[row], " is not among them");
      TORCH_CHECK_VALUE(!matrix || (b.size(2) >= count + time && (b.size(0) == batch || count == last[0] - first[0])),
                        "biases ", b.sizes(), " do not reach the ", count, " tokens before row ", row);
    }
    write(out, BiasedWindow::apply(k, v, b, given(pk), given(pv), given(n), given(d), given(e), first, last, window,
                                   matrix, absorbs));
  });
}

// Chunkwise retention for processors, one thread per head of a sequence: the operator alone, and with all that stands
// around it in a layer.
//
// The layer keeps x, the projections [B, T, q | k | v | gate] of one product, and the raw outputs of the heads; its
// backward pass writes all gradients of the projections into one matrix, so that two products more are all there is.
// The formulas are in the kernels' retention_tiles.inc.
#include "../library/profile.h"
#include "../ops/products.h"
#include "operators.h"

#include <cmath>

namespace ctorch::cpu {
namespace {

// Operands and results as [B, H, T, X] with any strides but dense rows; tables and states contiguous.
struct RetentionTensors {
  at::Tensor q, k, v, out, normed, gate, cosine, sine, epsilons, weight, bias, state, next, powers;
  at::Tensor folded, key_sum, next_key_sum; // [B, H, T] and [B, H, A] with normalized scores, forward only
  int64_t chunk = 0;
  bool interleaved = false;
  double key_scale = 1, sum_epsilon = 0;
  ct_norm_kind kind = CT_NORM_RMS;
  ct_activation activation = CT_ACTIVATION_NONE;

  int64_t heads() const { return q.size(1); }
  int64_t units() const { return q.size(0) * q.size(1); }
};

struct RetentionGradientTensors {
  at::Tensor out, next;                         // given
  at::Tensor q, k, v, gate, state, weight, bias; // found; weight and bias [B H, V]
};

// Powers of every decay between zeros, [H, slack + chunk + 1 + slack].
at::Tensor power_table(const std::vector<double> &log_gammas, int64_t chunk, at::ScalarType type) {
  int64_t heads = static_cast<int64_t>(log_gammas.size()), width = chunk + 1 + 2 * kPowerSlack;
  auto table = make::zeros({heads, width}, at::kDouble);
  double *p = table.mutable_data_ptr<double>();
  for (int64_t h = 0; h < heads; h++)
    for (int64_t i = 0; i <= chunk; i++)
      p[h * width + kPowerSlack + i] = std::exp(static_cast<double>(i) * log_gammas[h]);
  return table.to(accumulator_type(type));
}

template <class T> Rows<const T> rows_of(const at::Tensor &x, int64_t b, int64_t h) {
  return x.defined() ? head_rows<T>(x, b, h) : Rows<const T>{nullptr, 0};
}
template <class T> Rows<T> mutable_rows_of(const at::Tensor &x, int64_t b, int64_t h) {
  return x.defined() ? mutable_head_rows<T>(x, b, h) : Rows<T>{nullptr, 0};
}

template <class T> RetentionJob<T> retention_job(const RetentionTensors &t, int64_t unit) {
  using A = typename Accumulator<T>::type;
  int64_t b = unit / t.heads(), h = unit % t.heads();
  RetentionJob<T> job{};
  job.time = t.q.size(2);
  job.chunk = t.chunk;
  job.key_size = t.q.size(3);
  job.value_size = t.v.size(3);
  job.query = rows_of<T>(t.q, b, h);
  job.key = rows_of<T>(t.k, b, h);
  job.value = rows_of<T>(t.v, b, h);
  if (t.cosine.defined()) {
    int64_t at = t.cosine.size(0) > 1 ? b * job.time * (job.key_size / 2) : 0;
    job.cosine = data<A>(t.cosine) + at;
    job.sine = data<A>(t.sine) + at;
  }
  job.interleaved = t.interleaved;
  job.key_scale = A(t.key_scale);
  job.powers = data<A>(t.powers) + h * t.powers.size(1) + kPowerSlack;
  int64_t size = job.key_size * job.value_size;
  job.state = t.state.defined() ? data<A>(t.state) + unit * size : nullptr;
  job.next_state = t.next.defined() ? mutable_data<A>(t.next) + unit * size : nullptr;
  job.out = mutable_rows_of<T>(t.out, b, h);
  job.normed = mutable_rows_of<T>(t.normed, b, h);
  job.gate = rows_of<T>(t.gate, b, h);
  if (t.epsilons.defined()) {
    int64_t count = t.epsilons.numel();
    job.epsilons = data<A>(t.epsilons) + (count == 1 ? 0 : unit * job.time % count);
    job.epsilon_step = count == 1 ? 0 : 1;
  }
  job.weight = t.weight.defined() ? data<A>(t.weight) + h * job.value_size : nullptr;
  job.bias = t.bias.defined() ? data<A>(t.bias) + h * job.value_size : nullptr;
  job.norm_kind = t.kind;
  job.activation = t.activation;
  if (t.folded.defined()) {
    job.folded = mutable_data<A>(t.folded) + unit * job.time;
    job.sum_epsilon = A(t.sum_epsilon);
    job.key_sum = t.key_sum.defined() ? data<A>(t.key_sum) + unit * job.key_size : nullptr;
    job.next_key_sum = t.next_key_sum.defined() ? mutable_data<A>(t.next_key_sum) + unit * job.key_size : nullptr;
  }
  return job;
}

// The length of chunks in both passes: the given one, or the whole sequence where forming all scores below the diagonal is less
// work than carrying a state from chunk to chunk. Per token, (C + tile) (4 a + 3 b) operations for scores and 14 a b for
// the state.
int64_t cheaper_chunk(int64_t time, int64_t chunk, int64_t a, int64_t b) {
  auto work = [&](int64_t length) {
    double carried = 1 - std::min(1.0, static_cast<double>(length) / static_cast<double>(time));
    return static_cast<double>((length + kQueryTile) * (4 * a + 3 * b)) + 14.0 * static_cast<double>(a * b) * carried;
  };
  return work(time) < work(chunk) ? time : chunk;
}

// Memory that need not be cleared, aligned to cache lines.
struct WorkSpace {
  at::Tensor bytes;
  explicit WorkSpace(int64_t size) : bytes(make::empty({size + 64}, at::kByte)) {}
  void *get() const {
    auto address = reinterpret_cast<uintptr_t>(bytes.mutable_data_ptr());
    return reinterpret_cast<void *>((address + 63) / 64 * 64);
  }
};

// Notes the products of the chunks, none twice; of a square of scores as many columns as the tiles below the diagonal have
// on average.
void note_chunks(const RetentionTensors &t, bool backward, bool keeps_state) {
  if (!profile::is_on())
    return;
  int64_t a = t.q.size(3), b = t.v.size(3), units = t.units();
  auto type = t.q.scalar_type();
  auto parts = spans(t.q.size(2), t.chunk);
  for (size_t c = 0; c < parts.size(); c++) {
    int64_t n = parts[c].length, half = std::min(n, (n + kQueryTile) / 2);
    bool earlier = c > 0 || t.state.defined(), later = c + 1 < parts.size() || keeps_state;
    auto note = [&](bool is_made, int64_t rows, int64_t columns, int64_t depth, bool left, bool right) {
      profile::note_products(is_made, units, rows, columns, depth, left, right, type);
    };
    if (!backward) {
      note(true, n, half, a, false, true);
      note(true, n, b, half, false, false);
      note(earlier, n, b, a, false, false);
      note(later, a, b, n, true, false);
    } else {
      note(true, n, half, b, false, true);
      note(true, n, a, half, false, false);
      note(true, half, a, n, true, false);
      note(true, half, b, n, true, false);
      note(earlier, n, a, b, false, true);
      note(later, n, a, b, false, true);
      note(later, n, b, a, false, false);
      note(earlier, a, b, n, true, false);
    }
  }
}

void retain(const RetentionTensors &t) {
  profile::Scope scope(CT_PART_CORE);
  note_chunks(t, false, t.next.defined());
  with_element(t.q.scalar_type(), [&]<class T>() {
    const auto &kernels = retention_kernels<T>();
    parallel_for(t.units(), 1, [&](int64_t begin, int64_t end) {
      WorkSpace space(kernels.forward_scratch(retention_job<T>(t, begin)));
      for (int64_t unit = begin; unit < end; unit++)
        kernels.forward(retention_job<T>(t, unit), space.get());
    });
  });
}

void retain_backward(const RetentionTensors &t, const RetentionGradientTensors &g) {
  profile::Scope scope(CT_PART_CORE);
  note_chunks(t, true, g.next.defined());
  with_element(t.q.scalar_type(), [&]<class T>() {
    using A = typename Accumulator<T>::type;
    const auto &kernels = retention_kernels<T>();
    parallel_for(t.units(), 1, [&](int64_t begin, int64_t end) {
      WorkSpace space(kernels.backward_scratch(retention_job<T>(t, begin)));
      for (int64_t unit = begin; unit < end; unit++) {
        auto job = retention_job<T>(t, unit);
        int64_t b = unit / t.heads(), h = unit % t.heads(), size = job.key_size * job.value_size;
        RetentionGradients<T> gradients{};
        gradients.out_gradient = rows_of<T>(g.out, b, h);
        gradients.next_gradient = g.next.defined() ? data<A>(g.next) + unit * size : nullptr;
        gradients.query = mutable_rows_of<T>(g.q, b, h);
        gradients.key = mutable_rows_of<T>(g.k, b, h);
        gradients.value = mutable_rows_of<T>(g.v, b, h);
        gradients.gate = mutable_rows_of<T>(g.gate, b, h);
        gradients.state = g.state.defined() ? mutable_data<A>(g.state) + unit * size : nullptr;
        gradients.weight = g.weight.defined() ? mutable_data<A>(g.weight) + unit * job.value_size : nullptr;
        gradients.bias = g.bias.defined() ? mutable_data<A>(g.bias) + unit * job.value_size : nullptr;
        kernels.backward(job, gradients, space.get());
      }
    });
  });
}

// A state or its gradient in the accumulator type of x.
at::Tensor plain_state(const at::Tensor &state, const at::Tensor &x) {
  return state.defined() ? state.to(accumulator_type(x.scalar_type())).contiguous() : state;
}

at::Tensor state_like(const RetentionTensors &t) {
  return make::empty({t.q.size(0), t.heads(), t.q.size(3), t.v.size(3)},
                     t.q.options().dtype(accumulator_type(t.q.scalar_type())));
}

// Columns [first, first + heads * size) of projections [B, T, S] as heads [B, H, T, size].
at::Tensor head_columns(const at::Tensor &projections, int64_t first, int64_t heads, int64_t size) {
  return projections.narrow(2, first, heads * size)
      .unflatten(2, std::vector<int64_t>{heads, size})
      .transpose(1, 2);
}

// The views of a layer's tensors, the same in both passes.
struct LayerViews {
  int64_t heads, key_size, value_size;
  bool has_gate;

  void set(at::Tensor &q, at::Tensor &k, at::Tensor &v, at::Tensor &gate, const at::Tensor &projections) const {
    q = head_columns(projections, 0, heads, key_size);
    k = head_columns(projections, heads * key_size, heads, key_size);
    v = head_columns(projections, 2 * heads * key_size, heads, value_size);
    if (has_gate)
      gate = head_columns(projections, heads * (2 * key_size + value_size), heads, value_size);
  }
};

} // namespace

variable_list chunkwise_retention(const at::Tensor &query, const at::Tensor &key, const at::Tensor &value,
                                  const at::Tensor &state_in, const std::vector<double> &log_gammas, int64_t chunk,
                                  bool keeps_state) {
  chunk = cheaper_chunk(query.size(2), chunk, query.size(3), value.size(3));
  auto tensors = [=](const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, const at::Tensor &state) {
    RetentionTensors t;
    t.q = dense_rows(q), t.k = dense_rows(k), t.v = dense_rows(v);
    t.state = plain_state(state, q);
    t.powers = power_table(log_gammas, chunk, q.scalar_type());
    t.chunk = chunk;
    return t;
  };
  auto forward = [&]() -> Pass {
    auto t = tensors(query, key, value, state_in);
    t.out = make::empty(value.sizes(), value.options());
    if (keeps_state)
      t.next = state_like(t);
    retain(t);
    return {keeps_state ? variable_list{t.out, t.next} : variable_list{t.out}, {t.q, t.k, t.v, state_in}};
  };
  auto backward = [=](const variable_list &saved, variable_list &gradients) -> variable_list {
    auto t = tensors(saved[0], saved[1], saved[2], saved[3]);
    RetentionGradientTensors g;
    g.out = gradients[0].defined() ? dense_rows(gradients[0].to(t.v.scalar_type()))
                                   : make::zeros(t.v.sizes(), t.v.options());
    if (keeps_state)
      g.next = plain_state(gradients[1], t.q);
    g.q = make::empty(t.q.sizes(), t.q.options());
    g.k = make::empty(t.k.sizes(), t.k.options());
    g.v = make::empty(t.v.sizes(), t.v.options());
    if (t.state.defined())
      g.state = state_like(t);
    retain_backward(t, g);
    return {g.q, g.k, g.v, g.state.defined() ? g.state.to(saved[3].scalar_type()) : g.state};
  };
  return record({query, key, value, state_in}, forward, backward, MissingGradients::undefined);
}

variable_list retention_layer(const RetentionLayer &layer) {
  int64_t heads = static_cast<int64_t>(layer.log_gammas.size()), width = layer.x.size(2);
  LayerViews views{heads, layer.weights[0].size(0) / heads, layer.weights[2].size(0) / heads,
                   layer.weights[3].defined()};
  auto type = layer.x.scalar_type();
  // Everything but tensors that need gradients or come from the forward pass.
  int64_t chunk = cheaper_chunk(layer.x.size(1), layer.chunk, views.key_size, views.value_size);
  auto constants = [views, type, chunk, interleaved = layer.interleaved, key_scale = layer.key_scale,
                    kind = layer.kind, activation = layer.activation, logs = layer.log_gammas](
                       const at::Tensor &projections, const at::Tensor &cosine, const at::Tensor &sine,
                       const at::Tensor &epsilons, const at::Tensor &weight, const at::Tensor &bias,
                       const at::Tensor &state) {
    RetentionTensors t;
    views.set(t.q, t.k, t.v, t.gate, projections);
    t.cosine = cosine, t.sine = sine, t.epsilons = epsilons, t.weight = weight, t.bias = bias;
    t.state = plain_state(state, projections);
    t.powers = power_table(logs, chunk, type);
    t.chunk = chunk, t.interleaved = interleaved, t.key_scale = key_scale;
    t.kind = kind, t.activation = activation;
    return t;
  };
  auto forward = [&]() -> Pass {
    auto x = layer.x.reshape({-1, width});
    variable_list parts;
    for (const auto &weight : layer.weights)
      if (weight.defined())
        parts.push_back(weight.to(type));
    auto weights = make::joined(parts, 0);
    auto projections = times_transposed(x, weights).reshape({layer.x.size(0), layer.x.size(1), -1});
    auto t = constants(projections, layer.cosine, layer.sine, layer.epsilons, layer.norm_weight, layer.norm_bias,
                       layer.state);
    t.out = heads_like(t.v, heads, t.v.size(2), views.value_size);
    t.normed = heads_like(t.v, heads, t.v.size(2), views.value_size);
    auto epsilons = layer.epsilons;
    if (layer.sum_epsilon > 0) {
      epsilons = t.folded = make::empty({t.q.size(0), heads, t.q.size(2)}, layer.epsilons.options());
      t.sum_epsilon = layer.sum_epsilon;
      t.key_sum = layer.key_sum;
    }
    variable_list outputs{at::Tensor()};
    if (layer.keeps_state) {
      outputs.push_back(t.next = state_like(t));
      if (t.folded.defined())
        outputs.push_back(t.next_key_sum = make::empty({t.q.size(0), heads, views.key_size}, epsilons.options()));
    }
    retain(t);
    outputs[0] = t.normed.transpose(1, 2).flatten(2);
    return {outputs,
            {x, weights, projections, t.out, layer.cosine, layer.sine, epsilons, layer.norm_weight, layer.norm_bias,
             layer.state}};
  };
  bool need_x = layer.x.requires_grad(), keeps_state = layer.keeps_state;
  std::vector<int64_t> counts;
  std::vector<at::ScalarType> types;
  for (const auto &weight : layer.weights) {
    counts.push_back(weight.defined() ? weight.size(0) : 0);
    types.push_back(weight.defined() ? weight.scalar_type() : type);
  }
  auto shape = layer.x.sizes().vec();
  auto backward = [=](const variable_list &saved, variable_list &gradients) -> variable_list {
    const auto &x = saved[0], &weights = saved[1], &projections = saved[2], &state_in = saved[9];
    auto t = constants(projections, saved[4], saved[5], saved[6], saved[7], saved[8], state_in);
    t.out = saved[3];
    RetentionGradientTensors g;
    auto d_projections = make::empty(projections.sizes(), projections.options());
    views.set(g.q, g.k, g.v, g.gate, d_projections);
    auto d_out = gradients[0].defined()
                     ? gradients[0].to(type).contiguous()
                     : make::zeros({shape[0], shape[1], heads * views.value_size}, projections.options());
    g.out = head_columns(d_out, 0, heads, views.value_size);
    t.normed = g.out; // not written: it says that there is a norm
    if (keeps_state)
      g.next = plain_state(gradients[1], projections);
    if (t.state.defined())
      g.state = state_like(t);
    auto parts = [&](const at::Tensor &parameter) {
      return parameter.defined() ? make::zeros({t.units(), views.value_size}, parameter.options()) : parameter;
    };
    g.weight = parts(t.weight), g.bias = parts(t.bias);
    retain_backward(t, g);
    auto total = [&](const at::Tensor &sums) {
      return sums.defined() ? sums.reshape({-1, heads * views.value_size}).sum(0) : sums;
    };
    auto d = d_projections.reshape({-1, d_projections.size(2)});
    auto d_weights = transposed_times(d, x);
    variable_list result{need_x ? times(d, weights).reshape(shape) : at::Tensor()};
    int64_t first = 0;
    for (size_t i = 0; i < counts.size(); i++) {
      result.push_back(counts[i] ? d_weights.narrow(0, first, counts[i]).to(types[i]) : at::Tensor());
      first += counts[i];
    }
    result.push_back(total(g.weight));
    result.push_back(total(g.bias));
    result.push_back(g.state.defined() ? g.state.to(state_in.scalar_type()) : g.state);
    return result;
  };
  variable_list inputs{layer.x};
  inputs.insert(inputs.end(), layer.weights.begin(), layer.weights.end());
  inputs.insert(inputs.end(), {layer.norm_weight, layer.norm_bias, layer.state});
  return record(inputs, forward, backward, MissingGradients::undefined);
}

} // namespace ctorch::cpu

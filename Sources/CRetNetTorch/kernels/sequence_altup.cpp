// Sequence-AltUp (arXiv 2301.13310, section on sequence reduction): a layer sees every k-th token, the anchors;
// all others take over what it did to the anchor before them.
//
//   p_i = a1 x_i + a2 x_c,    out_i = p_i + b (y_c - p_c),    c the anchor at or before token i
//
// Written as out_i = a1 x_i + base_c, base_c = a2 x_c + b innovation_c, innovation_c = y_c - (a1 x_c + a2 x_c). Anchor
// and innovation of the last group are what a later piece of the sequence continues from; they are kept in the
// accumulator type, so that pieces give what the whole gives.
#include "operators.h"

namespace ctorch {
namespace {

// Groups of one sequence: the carried one (tokens before the first anchor), then those of the anchors.
struct Groups {
  int64_t batch, time, size, first, stride;
  int64_t anchors() const { return time > first ? (time - first + stride - 1) / stride : 0; }
  bool carried() const { return first > 0; }
  int64_t count() const { return anchors() + (carried() ? 1 : 0); }
  // The index of the anchor of a group, -1 for the carried one.
  int64_t anchor(int64_t group) const { return carried() ? group - 1 : group; }
  int64_t begin(int64_t anchor) const { return anchor < 0 ? 0 : first + anchor * stride; }
  int64_t end(int64_t anchor) const {
    return anchor < 0 ? std::min(first, time) : std::min(first + (anchor + 1) * stride, time);
  }
};

struct SequenceAltUp : torch::autograd::Function<SequenceAltUp> {
  static variable_list forward(AutogradContext *context, const at::Tensor &x, const OptionalTensor &y,
                               const OptionalTensor &anchor, const OptionalTensor &innovation,
                               const at::Tensor &coefficients, int64_t first, int64_t stride) {
    Groups groups{x.size(0), x.size(1), x.size(2), first, stride};
    context->save_for_backward({x, y.value_or(at::Tensor()), anchor.value_or(at::Tensor()),
                                innovation.value_or(at::Tensor()), coefficients});
    context->saved_data["first"] = first;
    context->saved_data["stride"] = stride;
    auto out = at::empty_like(x);
    auto wide = x.options().dtype(coefficients.scalar_type());
    auto last_anchor = at::empty({groups.batch, groups.size}, wide), last_innovation = at::empty_like(last_anchor);
    with_element(x.scalar_type(), [&]<class T>() {
      using A = typename Accumulator<T>::type;
      const auto &kernels = stream_kernels<T>();
      const T *in = data<T>(x), *layer = y ? data<T>(*y) : nullptr;
      const A *c = data<A>(coefficients), *old_anchor = anchor ? data<A>(*anchor) : nullptr;
      const A *old_innovation = innovation ? data<A>(*innovation) : nullptr;
      T *to = mutable_data<T>(out);
      A *final_anchor = mutable_data<A>(last_anchor), *final_innovation = mutable_data<A>(last_innovation);
      int64_t d = groups.size, count = groups.count();
      parallel_for(groups.batch * count, std::max<int64_t>(1, row_grain(d) / stride), [&](int64_t from, int64_t until) {
        std::vector<A> base(3 * d);
        A *anchor_row = base.data() + d, *innovation_row = anchor_row + d;
        for (int64_t index = from; index < until; index++) {
          int64_t b = index / count, group = index % count, a = groups.anchor(group);
          if (a < 0) {
            kernels.carried_base(old_anchor + b * d, old_innovation + b * d, c, base.data(), d);
            std::copy(old_anchor + b * d, old_anchor + (b + 1) * d, anchor_row);
            std::copy(old_innovation + b * d, old_innovation + (b + 1) * d, innovation_row);
          } else {
            kernels.group_base(in + (b * groups.time + groups.begin(a)) * d,
                               layer + (b * groups.anchors() + a) * d, c, anchor_row, innovation_row, base.data(), d);
          }
          for (int64_t t = groups.begin(a); t < groups.end(a); t++)
            kernels.group_row(in + (b * groups.time + t) * d, c, base.data(), to + (b * groups.time + t) * d, d);
          if (group == count - 1) {
            std::copy(anchor_row, anchor_row + d, final_anchor + b * d);
            std::copy(innovation_row, innovation_row + d, final_innovation + b * d);
          }
        }
      });
    });
    return {out, last_anchor, last_innovation};
  }

  static variable_list backward(AutogradContext *context, variable_list gradients) {
    auto saved = context->get_saved_variables();
    const auto &x = saved[0], &y = saved[1], &anchor = saved[2], &innovation = saved[3], &coefficients = saved[4];
    Groups groups{x.size(0), x.size(1), x.size(2), context->saved_data["first"].toInt(),
                  context->saved_data["stride"].toInt()};
    for (auto &g : gradients)
      if (g.defined())
        g = g.contiguous();
    auto like = [](const at::Tensor &t) { return t.defined() ? at::empty_like(t) : at::Tensor(); };
    auto dx = at::empty_like(x), dy = like(y), d_anchor = like(anchor), d_innovation = like(innovation);
    if (d_anchor.defined() && !groups.carried()) {
      d_anchor.zero_();
      d_innovation.zero_();
    }
    int64_t count = groups.count(), total_count = groups.batch * count;
    int64_t parts = std::clamp<int64_t>(total_count, 1, 64);
    std::vector<double> sums(parts * 3);
    with_element(x.scalar_type(), [&]<class T>() {
      using A = typename Accumulator<T>::type;
      const auto &kernels = stream_kernels<T>();
      const T *in = data<T>(x), *layer = data<T>(y), *g = data<T>(gradients[0]);
      const A *c = data<A>(coefficients), *old_anchor = data<A>(anchor), *old_innovation = data<A>(innovation);
      const A *final_anchor = data<A>(gradients[1]), *final_innovation = data<A>(gradients[2]);
      T *x_to = mutable_data<T>(dx), *y_to = mutable_data<T>(dy);
      A *anchor_to = mutable_data<A>(d_anchor), *innovation_to = mutable_data<A>(d_innovation);
      int64_t d = groups.size;
      // Rows that nothing comes to from outside: tests for null within the kernels' loops would be slow.
      const std::vector<A> nothing(d);
      auto outside = [&](const A *p, int64_t b, bool is_last) { return is_last && p ? p + b * d : nothing.data(); };
      parallel_for(parts, 1, [&](int64_t first_part, int64_t last_part) {
        std::vector<A> total(d);
        for (int64_t part = first_part; part < last_part; part++) {
          double *sum = sums.data() + part * 3;
          for (int64_t index = total_count * part / parts; index < total_count * (part + 1) / parts; index++) {
            int64_t b = index / count, group = index % count, a = groups.anchor(group);
            std::fill(total.begin(), total.end(), A(0));
            for (int64_t t = groups.begin(a); t < groups.end(a); t++) {
              int64_t row = (b * groups.time + t) * d;
              sum[0] += kernels.group_row_backward(in + row, g + row, c, total.data(), x_to + row, d);
            }
            bool is_last = group == count - 1;
            const A *from_anchor = outside(final_anchor, b, is_last);
            const A *from_innovation = outside(final_innovation, b, is_last);
            if (a < 0) {
              kernels.carried_backward(old_anchor + b * d, old_innovation + b * d, total.data(), from_anchor,
                                       from_innovation, c, anchor_to + b * d, innovation_to + b * d, sum, d);
            } else {
              int64_t row = (b * groups.time + groups.begin(a)) * d, layer_row = (b * groups.anchors() + a) * d;
              kernels.group_backward(in + row, layer + layer_row, g + row, total.data(), from_anchor, from_innovation,
                                     c, x_to + row, y_to + layer_row, sum, d);
            }
          }
        }
      });
    });
    std::vector<double> total(3);
    for (int64_t part = 0; part < parts; part++)
      for (int i = 0; i < 3; i++)
        total[i] += sums[part * 3 + i];
    return {dx, dy, d_anchor, d_innovation, at::tensor(total, at::kDouble).to(coefficients.options()),
            at::Tensor(), at::Tensor()};
  }
};

} // namespace
} // namespace ctorch

using namespace ctorch;

ct_status ct_sequence_altup(ct_tensor *out, ct_tensor *anchor_out, ct_tensor *innovation_out, ct_tensor x,
                            ct_tensor layer_output, ct_tensor anchor, ct_tensor innovation, ct_tensor coefficients,
                            int64_t first, int64_t stride) {
  return guarded([&] {
    const auto &in = x->value;
    auto y = maybe(layer_output), a = maybe(anchor), e = maybe(innovation);
    TORCH_CHECK_VALUE(in.dim() == 3 && in.size(1) > 0 && stride >= 1 && first >= 0,
                      "groups of tokens need x [B, T, D], found ", in.sizes());
    TORCH_CHECK_VALUE(has_row_kernels(in), "groups of tokens are mixed on the CPU only");
    Groups groups{in.size(0), in.size(1), in.size(2), first, stride};
    TORCH_CHECK_VALUE(groups.anchors() == 0 || (y.defined() && y.dim() == 3 && y.size(0) == in.size(0) &&
                                                y.size(1) == groups.anchors() && y.size(2) == in.size(2) &&
                                                y.scalar_type() == in.scalar_type()),
                      "the layer's output must be that of ", groups.anchors(), " anchors of ", in.sizes());
    TORCH_CHECK_VALUE(!groups.carried() || (a.defined() && e.defined()),
                      "tokens before the first anchor need the anchor before them");
    auto wide = in.options().dtype(accumulator_type(in.scalar_type()));
    for (const auto &t : {a, e})
      TORCH_CHECK_VALUE(!t.defined() || (t.dim() == 2 && t.size(0) == in.size(0) && t.size(1) == in.size(2)),
                        "anchor and innovation must be [B, D], found ", t.sizes());
    TORCH_CHECK_VALUE(coefficients->value.numel() == 3, "a1, a2 and b are needed");
    auto prepared = [&](const at::Tensor &t) { return t.defined() ? t.to(wide).contiguous() : t; };
    auto results = SequenceAltUp::apply(in.contiguous(), given(groups.anchors() ? y.contiguous() : at::Tensor()),
                                        given(prepared(a)), given(prepared(e)), prepared(coefficients->value), first,
                                        stride);
    *out = box(results[0]);
    *anchor_out = box(results[1]);
    *innovation_out = box(results[2]);
  });
}

ct_status ct_slice_scatter(ct_tensor *out, ct_tensor x, ct_tensor source, int64_t axis, int64_t begin, int64_t end,
                           int64_t step) {
  return guarded([&] { *out = box(at::slice_scatter(x->value, source->value, axis, begin, end, step)); });
}

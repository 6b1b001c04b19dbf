// All rules, and the instantiations whose code is checked.
#pragma once

#include "retention_rules.h"
#include "row_rules.h"

namespace retnet::device {

// The largest instantiations of every kernel, and those that models of common sizes run.
inline const std::vector<Instance> &instances() {
  static const std::vector<Instance> list = [] {
    std::vector<Instance> all;
    Limits large{90, 132, 227 << 10}, small{80, 108, 99 << 10};
    static float gammas[kMaximumHeads] = {};
    auto add = [&](const char *operation, const Kernel &kernel, size_t bytes, int32_t registers, int32_t local = 0) {
      all.push_back({operation, kernel, static_cast<int32_t>(bytes), registers, local});
    };
    auto add_scans = [&](const char *forward, const char *backward, int32_t key_size, int32_t value_size, int32_t batch,
                         Element type, const Limits &limits, bool is_gated) {
      RetentionProblem p = {};
      p.batch = batch, p.heads = p.groups = 8, p.time = 2048, p.key_size = key_size, p.value_size = value_size;
      p.log2_gammas = gammas;
      float place = 0;
      if (is_gated)
        p.log_gates = p.d_log_gates = &place;
      for (bool gradients : {false, true}) {
        Plan plan;
        if (!(gradients ? retention_backward_plan : retention_forward_plan)(p, type, limits, plan))
          continue;
        for (int32_t i = 0; i < plan.count; i++)
          // Without room for the next chunk, loading it stands between the state and the products.
          add(gradients ? backward : forward, plan.steps[i].kernel, static_cast<size_t>(plan.steps[i].argument_bytes),
              255, limits.shared_bytes < large.shared_bytes ? 256 : 0);
      }
    };
    auto same = [](const Kernel &a, const Kernel &b) { return std::strcmp(a.type, b.type) == 0; };
    add_scans("retention, forward", "retention, backward", 256, 512, 8, Element::bf16, large, false);
    add_scans("retention, forward", "retention, backward", 256, 256, 1, Element::bf16, large, false);
    add_scans("retention, forward", "retention, backward", 256, 512, 4, Element::bf16, small, false);
    add_scans("gated retention, forward", "gated retention, backward", 128, 128, 2, Element::bf16, large, true);
    for (Element type : {Element::f32, Element::f16})
      add_scans("retention, forward", "retention, backward", 64, 64, 8, type, large, false);
    for (Element type : {Element::bf16, Element::f32}) {
      Kernel kernel;
      DecodeStepArguments d = {};
      d.batch = 1, d.heads = 8, d.key_size = 256, d.value_size = 512;
      if (decode_step_kernel(d, type, large, kernel))
        add("decode step", kernel, sizeof d, 128);
      for (int32_t size : {512, 4096}) {
        HeadNormArguments h = {};
        h.batch = h.heads = h.time = h.parts = 1, h.size = size, h.epsilon_count = 1;
        h.gate = gammas, h.activation = kSwish;
        if (head_norm_kernel(h, type, large, kernel))
          add("head norm, forward", kernel, sizeof h, 128);
        if (head_norm_gradient_kernel(h, type, large, kernel))
          add("head norm, backward", kernel, sizeof h, 255);
      }
      ResidualNormArguments n = {};
      n.rows = n.parts = 1, n.size = 4096;
      if (residual_norm_kernel(n, type, Element::f32, large, kernel))
        add("residual norm, forward", kernel, sizeof n, 128);
      if (residual_norm_gradient_kernel(n, type, Element::f32, large, kernel))
        add("residual norm, backward", kernel, sizeof n, 255);
      GatedActivationArguments g = {};
      g.count = 1, g.activation = kSwish;
      if (gated_activation_kernel(g, type, large, kernel))
        add("gated activation, forward", kernel, sizeof g, 128);
      if (gated_activation_gradient_kernel(g, type, large, kernel))
        add("gated activation, backward", kernel, sizeof g, 128);
      RotateHeadsArguments r = {};
      r.batch = r.time = r.heads = 1, r.size = 256;
      if (rotate_heads_kernel(r, type, large, kernel))
        add("rotation", kernel, sizeof r, 128);
      TokenLossArguments l = {};
      l.rows = l.size = 1;
      if (token_loss_kernel(l, type, large, kernel))
        add("token loss, forward", kernel, sizeof l, 128);
      if (token_loss_gradient_kernel(l, type, large, kernel))
        add("token loss, backward", kernel, sizeof l, 128);
      CombineArguments c = {};
      c.inputs = 9, c.outputs = 8, c.count = 1, c.parts = 1;
      if (combine_kernel(c, type, large, kernel))
        add("AltUp, forward", kernel, sizeof c, 255);
      if (combine_gradient_kernel(c, type, large, kernel))
        add("AltUp, backward", kernel, sizeof c, 255);
    }
    std::vector<Instance> once;
    for (const Instance &instance : all)
      if (std::none_of(once.begin(), once.end(), [&](const Instance &o) { return same(o.kernel, instance.kernel); }))
        once.push_back(instance);
    return once;
  }();
  return list;
}

} // namespace retnet::device

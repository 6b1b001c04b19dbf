// Gradient modes, backward passes, and segments computed again during the backward pass.
#include "support.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/variable.h>

using namespace ctorch;
using torch::autograd::variable_list;

bool ct_gradients_enabled(void) { return at::GradMode::is_enabled(); }
void ct_set_gradients_enabled(bool enabled) { at::GradMode::set_enabled(enabled); }

ct_status ct_set_requires_grad(ct_tensor t, bool enabled) {
  return guarded([&] { t->value.set_requires_grad(enabled); });
}
bool ct_requires_grad(ct_tensor t) { return t->value.requires_grad(); }
ct_status ct_detach(ct_tensor *out, ct_tensor t) {
  return guarded([&] { *out = box(t->value.detach()); });
}
ct_status ct_grad(ct_tensor *out, ct_tensor t) {
  return guarded([&] {
    const auto &gradient = t->value.grad();
    *out = gradient.defined() ? box(gradient) : nullptr;
  });
}
ct_status ct_clear_grad(ct_tensor t) {
  return guarded([&] { t->value.mutable_grad() = at::Tensor(); });
}
ct_status ct_set_grad(ct_tensor t, ct_tensor gradient) {
  return guarded([&] { t->value.mutable_grad() = gradient->value; });
}

ct_status ct_backward(const ct_tensor *outputs, const ct_tensor *gradients, int32_t count) {
  return guarded([&] {
    auto seeds = gradients ? list(gradients, count) : std::vector<at::Tensor>(count);
    torch::autograd::backward(list(outputs, count), seeds);
  });
}

ct_status ct_gradients(ct_tensor *out, const ct_tensor *outputs, const ct_tensor *gradients, int32_t output_count,
                       const ct_tensor *inputs, int32_t input_count) {
  return guarded([&] {
    auto seeds = gradients ? list(gradients, output_count) : std::vector<at::Tensor>(output_count);
    auto result = torch::autograd::grad(list(outputs, output_count), list(inputs, input_count), seeds,
                                        /*retain_graph=*/false, /*create_graph=*/false, /*allow_unused=*/true);
    for (int32_t i = 0; i < input_count; i++)
      out[i] = result[i].defined() ? box(result[i]) : nullptr;
  });
}

namespace {

// The Swift closure of a checkpointed segment; shared by the graph node.
struct Segment : torch::CustomClassHolder {
  ct_segment forward;
  void *context;
  void (*release)(void *);
  int32_t output_count;

  Segment(ct_segment forward, void *context, void (*release)(void *), int32_t output_count)
      : forward(forward), context(context), release(release), output_count(output_count) {}
  ~Segment() override { release(context); }

  variable_list run(const variable_list &inputs) const {
    std::vector<ct_tensor> handles, results(output_count, nullptr);
    for (const auto &input : inputs)
      handles.push_back(box(input));
    int32_t failed = forward(context, handles.data(), static_cast<int32_t>(handles.size()), results.data(),
                             output_count);
    for (auto handle : handles)
      ct_tensor_free(handle);
    variable_list outputs;
    for (auto handle : results) {
      if (handle)
        outputs.push_back(handle->value);
      ct_tensor_free(handle);
    }
    if (failed)
      throw CallbackError();
    return outputs;
  }
};

struct CheckpointFunction : torch::autograd::Function<CheckpointFunction> {
  static variable_list forward(torch::autograd::AutogradContext *ctx, c10::intrusive_ptr<Segment> segment,
                               at::TensorList inputs) {
    ctx->saved_data["segment"] = c10::IValue::make_capsule(segment);
    ctx->save_for_backward(inputs.vec());
    at::NoGradGuard no_grad;
    return segment->run(inputs.vec());
  }

  static variable_list backward(torch::autograd::AutogradContext *ctx, variable_list gradients) {
    auto segment = c10::static_intrusive_pointer_cast<Segment>(ctx->saved_data["segment"].toCapsule());
    variable_list leaves;
    for (const auto &saved : ctx->get_saved_variables()) {
      auto leaf = saved.detach();
      leaf.set_requires_grad(saved.is_floating_point());
      leaves.push_back(leaf);
    }
    at::AutoGradMode with_gradients(true);
    auto outputs = segment->run(leaves);
    variable_list roots, seeds;
    for (size_t i = 0; i < outputs.size(); i++) {
      if (!outputs[i].requires_grad() || !gradients[i].defined())
        continue;
      roots.push_back(outputs[i]);
      seeds.push_back(gradients[i]);
    }
    torch::autograd::backward(roots, seeds);
    variable_list result{at::Tensor()};  // the segment itself has no gradient
    for (const auto &leaf : leaves)
      result.push_back(leaf.grad());
    return result;
  }
};

} // namespace

ct_status ct_checkpoint(ct_tensor *outputs, int32_t output_count, const ct_tensor *inputs, int32_t input_count,
                        ct_segment forward, void *context, void (*release)(void *)) {
  return guarded([&] {
    auto segment = c10::make_intrusive<Segment>(forward, context, release, output_count);
    auto tensors = list(inputs, input_count);
    auto results = CheckpointFunction::apply(segment, at::TensorList(tensors));
    TORCH_CHECK(static_cast<int32_t>(results.size()) == output_count, "the segment returned ", results.size(),
                " tensors instead of ", output_count);
    for (int32_t i = 0; i < output_count; i++)
      outputs[i] = box(results[i]);
  });
}

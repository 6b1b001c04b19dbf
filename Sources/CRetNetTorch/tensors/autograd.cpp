// Gradient modes, backward passes, segments computed again during the backward pass, and nodes with gradients written
// by hand. The only file that includes LibTorch's headers for nodes.
#include "../library/profile.h"
#include "../ops/node.h"

#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/variable.h>

using namespace ctorch;

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
struct Segment {
  ct_segment forward;
  void *context;
  void (*release)(void *);
  int32_t output_count;

  Segment(ct_segment forward, void *context, void (*release)(void *), int32_t output_count)
      : forward(forward), context(context), release(release), output_count(output_count) {}
  ~Segment() { release(context); }

  variable_list run(const variable_list &inputs) const {
    std::vector<ct_tensor> handles, results(output_count, nullptr);
    for (const auto &input : inputs)
      handles.push_back(box(input));
    int32_t failed =
        forward(context, handles.data(), static_cast<int32_t>(handles.size()), results.data(), output_count);
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

// Runs the segment again with gradients, and back through it.
variable_list segment_gradients(const Segment &segment, const variable_list &saved, const variable_list &gradients) {
  variable_list leaves;
  for (const auto &input : saved) {
    auto leaf = input.detach();
    leaf.set_requires_grad(input.is_floating_point());
    leaves.push_back(leaf);
  }
  at::AutoGradMode with_gradients(true);
  auto outputs = segment.run(leaves);
  variable_list roots, seeds;
  for (size_t i = 0; i < outputs.size(); i++) {
    if (!outputs[i].requires_grad() || !gradients[i].defined())
      continue;
    roots.push_back(outputs[i]);
    seeds.push_back(gradients[i]);
  }
  torch::autograd::backward(roots, seeds);
  variable_list result;
  for (const auto &leaf : leaves)
    result.push_back(leaf.grad());
  return result;
}

} // namespace

ct_status ct_checkpoint(ct_tensor *outputs, int32_t output_count, const ct_tensor *inputs, int32_t input_count,
                        ct_segment forward, void *context, void (*release)(void *)) {
  return guarded([&] {
    auto segment = std::make_shared<Segment>(forward, context, release, output_count);
    auto tensors = list(inputs, input_count);
    auto results = record(
        tensors, [&]() -> Pass { return {segment->run(tensors), tensors}; },
        [segment](const variable_list &saved, variable_list &gradients) {
          return segment_gradients(*segment, saved, gradients);
        });
    TORCH_CHECK(static_cast<int32_t>(results.size()) == output_count, "the segment returned ", results.size(),
                " tensors instead of ", output_count);
    for (int32_t i = 0; i < output_count; i++)
      outputs[i] = box(results[i]);
  });
}

namespace {

// The Swift closure of a node; shared by the graph.
struct GradientClosure {
  ct_gradient_closure backward;
  void *context;
  void (*release)(void *);
  int32_t input_count;

  GradientClosure(ct_gradient_closure backward, void *context, void (*release)(void *), int32_t input_count)
      : backward(backward), context(context), release(release), input_count(input_count) {}
  ~GradientClosure() { release(context); }

  variable_list run(const variable_list &saved, const variable_list &gradients) const {
    std::vector<ct_tensor> kept, given, results(input_count, nullptr);
    for (const auto &tensor : saved)
      kept.push_back(box(tensor));
    for (const auto &gradient : gradients)
      given.push_back(box(gradient));
    int32_t failed = backward(context, kept.data(), static_cast<int32_t>(kept.size()), given.data(),
                              static_cast<int32_t>(given.size()), results.data(), input_count);
    for (auto handle : kept)
      ct_tensor_free(handle);
    for (auto handle : given)
      ct_tensor_free(handle);
    variable_list outputs;
    for (auto handle : results) {
      outputs.push_back(handle ? handle->value : at::Tensor());
      if (handle)
        ct_tensor_free(handle);
    }
    if (failed)
      throw CallbackError();
    return outputs;
  }
};

} // namespace

ct_status ct_record(ct_tensor *results, const ct_tensor *outputs, int32_t output_count, const ct_tensor *inputs,
                    int32_t input_count, const ct_tensor *saved, int32_t saved_count, ct_gradient_closure backward,
                    void *context, void (*release)(void *)) {
  auto closure = std::make_shared<GradientClosure>(backward, context, release, input_count);
  return guarded([&] {
    auto tensors = record(
        list(inputs, input_count),
        [&]() -> Pass { return {list(outputs, output_count), list(saved, saved_count)}; },
        [closure](const variable_list &saved, variable_list &gradients) { return closure->run(saved, gradients); });
    for (int32_t i = 0; i < output_count; i++)
      results[i] = box(tensors[i]);
  });
}

// ---- Nodes with gradients written by hand (ops/node.h) ----

namespace ctorch {
namespace {

// Contents of a node in addition to tensors.
struct Step : torch::CustomClassHolder {
  const std::function<Pass()> *forward = nullptr; // only during the forward pass
  Backward backward;
  std::vector<bool> defined; // of each input
  MissingGradients missing;
  ct_part part; // of the forward pass
};

struct Node : torch::autograd::Function<Node> {
  static variable_list forward(torch::autograd::AutogradContext *context, c10::intrusive_ptr<Step> step,
                               at::TensorList /*inputs*/) {
    auto pass = (*step->forward)();
    context->save_for_backward(std::move(pass.saved));
    context->saved_data["step"] = c10::IValue::make_capsule(step);
    context->set_materialize_grads(step->missing == MissingGradients::zeros);
    return pass.outputs;
  }

  static variable_list backward(torch::autograd::AutogradContext *context, variable_list gradients) {
    auto step = c10::static_intrusive_pointer_cast<Step>(context->saved_data["step"].toCapsule());
    profile::Scope scope(step->part);
    auto all = step->backward(context->get_saved_variables(), gradients);
    variable_list result{at::Tensor()}; // the step itself has no gradient
    for (size_t i = 0; i < step->defined.size(); i++)
      if (step->defined[i])
        result.push_back(i < all.size() ? all[i] : at::Tensor());
    return result;
  }
};

} // namespace

variable_list record(const variable_list &inputs, const std::function<Pass()> &forward, Backward backward,
                     MissingGradients missing) {
  auto step = c10::make_intrusive<Step>();
  step->forward = &forward;
  step->backward = std::move(backward);
  step->missing = missing;
  step->part = profile::current();
  variable_list given;
  for (const auto &input : inputs) {
    step->defined.push_back(input.defined());
    if (input.defined())
      given.push_back(input);
  }
  auto outputs = Node::apply(step, at::TensorList(given));
  step->forward = nullptr;
  return outputs;
}

} // namespace ctorch

// Nodes of the autograd graph with gradients written by hand. LibTorch's header for them takes seconds to compile in
// every file, so only tensors/autograd.cpp includes it.
#pragma once

#include "../library/support.h"

#include <functional>

namespace ctorch {

// Results of a forward pass: the outputs, and the tensors that the backward pass needs (undefined ones are allowed).
struct Pass {
  variable_list outputs;
  variable_list saved;
};

// Gradients of the inputs, in their order (undefined: none), given the saved tensors and the gradients of the
// outputs.
using Backward = std::function<variable_list(const variable_list &saved, variable_list &gradients)>;

// Gradients of outputs that nothing depends on: zeros, or undefined tensors.
enum class MissingGradients { zeros, undefined };

// Runs `forward` without recording and adds a node with these inputs (undefined ones are allowed) to the graph.
// `backward` must hold no tensor: those it needs are saved.
variable_list record(const variable_list &inputs, const std::function<Pass()> &forward, Backward backward,
                     MissingGradients missing = MissingGradients::zeros);

} // namespace ctorch

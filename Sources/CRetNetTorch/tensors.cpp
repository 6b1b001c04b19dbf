// Tensors: creation, shape, mathematics, gradients, optimizers.
//
// One translation unit per folder: reading LibTorch's headers costs more time than a file of this folder.
#include "tensors/autograd.cpp"
#include "tensors/create.cpp"
#include "tensors/math.cpp"
#include "tensors/optimizers.cpp"
#include "tensors/shape.cpp"

// The operators' fast paths on CUDA devices.
//
// One translation unit per folder: reading LibTorch's headers costs more time than a file of this folder.
#include "cuda/altup.cpp"
#include "cuda/device.cpp"
#include "cuda/retention.cpp"
#include "cuda/rows.cpp"
#include "cuda/table.cpp"

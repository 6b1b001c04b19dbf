// The table of every instruction set that is compiled in; training_kernels.cpp chooses.
#pragma once

#include "RetNetTrainingKernels/training_kernels.h"

namespace retnet {

// Any processor of the architecture: vectors of 16 bytes.
namespace baseline {
const TrainingTable &training_table();
}
#if defined(__x86_64__)
namespace avx2 {
const TrainingTable &training_table();
}
namespace avx512 {
const TrainingTable &training_table();
}
// The table of avx512 with bfloat16 dot products in attention.
namespace avx512bf16 {
const TrainingTable &training_table();
}
#endif

} // namespace retnet

// Kernels of training for any processor of the architecture.
#include "tables.h"

#define KERNEL_SET baseline
#define KERNEL_VECTOR_BYTES 16
#define KERNEL_NATIVE_BF16 0
#include "all.inc"

const retnet::TrainingTable &retnet::baseline::training_table() {
  static const TrainingTable table = make_table();
  return table;
}

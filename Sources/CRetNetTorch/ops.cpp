// The package's operators, with gradients, for every device.
//
// One translation unit per folder: reading LibTorch's headers costs more time than a file of this folder.
#include "ops/altup.cpp"
#include "ops/attention.cpp"
#include "ops/convolutions.cpp"
#include "ops/experts.cpp"
#include "ops/products.cpp"
#include "ops/retention.cpp"
#include "ops/rows.cpp"
#include "ops/states.cpp"
#include "ops/table.cpp"
#include "ops/wkv_aft.cpp"

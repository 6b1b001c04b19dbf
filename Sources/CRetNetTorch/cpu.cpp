// The operators' fast paths on processors.
//
// One translation unit per folder: reading LibTorch's headers costs more time than a file of this folder.
#include "cpu/altup.cpp"
#include "cpu/attention.cpp"
#include "cpu/channel_gates.cpp"
#include "cpu/delta_rule.cpp"
#include "cpu/diagonal_heads.cpp"
#include "cpu/distance_attention.cpp"
#include "cpu/experts.cpp"
#include "cpu/gated_retention.cpp"
#include "cpu/long_convolution.cpp"
#include "cpu/matrix_states.cpp"
#include "cpu/products.cpp"
#include "cpu/retention.cpp"
#include "cpu/retention_layer.cpp"
#include "cpu/rows.cpp"
#include "cpu/table.cpp"
#include "cpu/wkv_aft.cpp"

// LibTorch's services: errors, memory, devices, threads.
//
// One translation unit per folder: reading LibTorch's headers costs more time than a file of this folder.
#include "library/device.cpp"
#include "library/errors.cpp"
#include "library/memory.cpp"
#include "library/threads.cpp"

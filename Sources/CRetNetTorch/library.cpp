// LibTorch's services: errors, memory, devices, threads.
//
// One translation unit per folder: reading LibTorch's headers costs more time than a file of this folder.

// LibTorch is a release build, which never sets what its header of operator callbacks checks in debug builds.
#ifndef NDEBUG
#define NDEBUG
#endif

#include "library/device.cpp"
#include "library/errors.cpp"
#include "library/graphs.cpp"
#include "library/memory.cpp"
#include "library/profile.cpp"
#include "library/threads.cpp"

// Installs the CPU allocator that keeps memory between steps; see memory.cpp.
#pragma once

namespace ctorch {
void install_allocator();
}

// Gives LibTorch's threads to the loops of the kernels; see threads.cpp.
#pragma once

namespace ctorch {
void install_thread_pool();
}

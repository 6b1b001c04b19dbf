// What Swift imports: the C interface, which C++ includes as text.
#include "inference.h"
#include "steps.h"

// What Swift imports: the C interface, which C++ includes as text.
#include "gates.h"
#include "inference.h"
#include "steps.h"

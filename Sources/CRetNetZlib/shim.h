#ifndef RETNET_CZLIB_SHIM_H
#define RETNET_CZLIB_SHIM_H

#include <zlib.h>

#endif

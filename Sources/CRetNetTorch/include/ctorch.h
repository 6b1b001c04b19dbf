// A plain C interface over LibTorch: the only way from Swift to C++ in this package.
//
// Contract of every function that returns `ct_status`:
//   * 0 means success and the out parameters are written; anything else is a `ct_error_kind`, the out parameters are
//     untouched, and `ct_error_message()` holds the text of this call until the next failing call on the same thread.
//     No C++ exception ever crosses.
//   * A `ct_tensor` written to an out parameter is owned by the caller (+1), who releases it with `ct_tensor_free`.
//     Tensors passed as arguments are borrowed.
#ifndef CTORCH_H
#define CTORCH_H

#include "ctorch_library.h"
#include "ctorch_operators.h"
#include "ctorch_tensors.h"
#include "ctorch_types.h"

#endif

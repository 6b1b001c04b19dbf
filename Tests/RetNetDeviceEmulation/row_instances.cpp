// The kernels over rows and streams that tests run.
#include "combine.cuh"
#include "decode.cuh"
#include "head_norm.cuh"
#include "machine.h"
#include "residual.cuh"
#include "rotate.cuh"
#include "token_loss.cuh"

namespace retnet::device {
namespace {

using emulation::Registration;

#define REGISTER(name, ...) static const Registration<__VA_ARGS__> name(#__VA_ARGS__);
#define ACTIVATION(name, type, kind)                                                                                  \
  REGISTER(name, GatedActivation<type, kind>)                                                                         \
  REGISTER(name##_gradient, GatedActivationGradient<type, kind>)
#define EACH_TYPE(name, type)                                                                                         \
  REGISTER(name##_decode_16, DecodeStep<type, 16>)                                                                    \
  REGISTER(name##_decode_256, DecodeStep<type, 256>)                                                                  \
  REGISTER(name##_norm_swish, HeadNorm<type, 2, 32, kSwish>)                                                          \
  REGISTER(name##_norm_swish_gradient, HeadNormGradient<type, 2, 32, kSwish>)                                         \
  REGISTER(name##_norm_identity, HeadNorm<type, 2, 32, kIdentity>)                                                    \
  REGISTER(name##_norm_identity_gradient, HeadNormGradient<type, 2, 32, kIdentity>)                                   \
  REGISTER(name##_norm_tanh, HeadNorm<type, 2, 32, kGeluTanh>)                                                        \
  REGISTER(name##_norm_tanh_gradient, HeadNormGradient<type, 2, 32, kGeluTanh>)                                       \
  REGISTER(name##_norm_16, HeadNorm<type, 16, 32, kIdentity>)                                                         \
  REGISTER(name##_norm_16_gradient, HeadNormGradient<type, 16, 32, kIdentity>)                                        \
  REGISTER(name##_norm_block, HeadNorm<type, 4, 256, kGelu>)                                                          \
  REGISTER(name##_norm_block_gradient, HeadNormGradient<type, 4, 256, kGelu>)                                         \
  REGISTER(name##_residual, ResidualNorm<type, float, 2, 32>)                                                         \
  REGISTER(name##_residual_gradient, ResidualNormGradient<type, float, 2, 32>)                                        \
  REGISTER(name##_residual_block, ResidualNorm<type, type, 4, 256>)                                                   \
  REGISTER(name##_residual_block_gradient, ResidualNormGradient<type, type, 4, 256>)                                  \
  ACTIVATION(name##_identity, type, kIdentity)                                                                        \
  ACTIVATION(name##_swish, type, kSwish)                                                                              \
  ACTIVATION(name##_gelu, type, kGelu)                                                                                \
  ACTIVATION(name##_relu, type, kRelu)                                                                                \
  ACTIVATION(name##_tanh, type, kGeluTanh)                                                                            \
  REGISTER(name##_rotate, RotateHeads<type>)                                                                          \
  REGISTER(name##_loss, TokenLoss<type>)                                                                              \
  REGISTER(name##_loss_gradient, TokenLossGradient<type>)                                                             \
  REGISTER(name##_combine_1_back, Combine<type, 1, 2>)                                                                \
  REGISTER(name##_combine_2, Combine<type, 2, 2>)                                                                     \
  REGISTER(name##_combine_2_gradient, CombineGradient<type, 2, 2>)                                                    \
  REGISTER(name##_combine_3, Combine<type, 3, 2>)                                                                     \
  REGISTER(name##_combine_3_gradient, CombineGradient<type, 3, 2>)                                                    \
  REGISTER(name##_combine_3_back, Combine<type, 2, 3>)                                                                \
  REGISTER(name##_combine_1, Combine<type, 2, 1>)                                                                     \
  REGISTER(name##_combine_1_gradient, CombineGradient<type, 2, 1>)                                                    \
  REGISTER(name##_combine, Combine<type, 5, 4>)                                                                       \
  REGISTER(name##_combine_gradient, CombineGradient<type, 5, 4>)

EACH_TYPE(float32, float)
EACH_TYPE(bfloat16, bf16)
EACH_TYPE(float16, f16)

} // namespace
} // namespace retnet::device

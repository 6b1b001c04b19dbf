// Launches of a device recorded once and repeated with one call (CUDA graphs), by LibTorch's own interface for them.
//
// A recording gets memory of its own: LibTorch's allocator serves everything that is allocated on the recording stream from a
// pool that lives as long as the graph, so addresses stay as they were recorded. Tensors made before keep their places anyway
// while somebody holds them.
#include "support.h"

#include <ATen/core/GraphImplInterface.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

struct ct_graph_box {
  std::unique_ptr<at::GraphImplInterface> graph;
  c10::Device device;
};

using namespace ctorch;

bool ct_can_record(ct_device_kind kind) {
  try {
    return kind != CT_CPU && at::has_graph_impl(device_of(kind, 0).type());
  } catch (...) {
    return false;
  }
}

ct_status ct_graph_record(ct_graph *out, ct_device_kind kind, int32_t index, int32_t (*body)(void *), void *context) {
  return guarded([&] {
    auto device = device_of(kind, index);
    auto graph = at::create_graph_impl(device.type());
    TORCH_CHECK_NOT_IMPLEMENTED(graph, "this LibTorch cannot record launches on ", device);
    c10::DeviceGuard guard(device);
    c10::impl::VirtualGuardImpl implementation(device.type());
    // The default stream cannot record. What was queued must be done, since the other stream would not wait for it.
    auto before = implementation.getStream(device);
    implementation.synchronizeDevice(device.index());
    implementation.exchangeStream(implementation.getStreamFromGlobalPool(device));
    struct Restore {
      const c10::impl::VirtualGuardImpl &implementation;
      c10::Stream stream;
      ~Restore() { implementation.exchangeStream(stream); }
    } restore{implementation, before};

    // Other threads may go on allocating meanwhile.
    graph->capture_begin({0, 0}, at::GraphCaptureMode::ThreadLocal);
    int32_t failed = body(context);
    try {
      graph->capture_end();
    } catch (...) {
      if (!failed)
        throw;
    }
    if (failed)
      throw CallbackError();
    *out = new ct_graph_box{std::move(graph), device};
  });
}

ct_status ct_graph_replay(ct_graph graph) {
  return guarded([&] {
    c10::DeviceGuard guard(graph->device);
    graph->graph->replay();
  });
}

void ct_graph_free(ct_graph graph) {
  // A destructor that throws ends the process; what a device says now is about work before.
  try {
    if (graph)
      graph->graph.reset();
  } catch (...) {
  }
  delete graph;
}

// Views, indexing, joining.
#include "../library/aten.h"

using namespace ctorch;

ct_status ct_reshape(ct_tensor *out, ct_tensor t, const int64_t *shape, int32_t rank) {
  return guarded([&] { *out = box(t->value.reshape(at::IntArrayRef(shape, rank))); });
}
ct_status ct_transpose(ct_tensor *out, ct_tensor t, int64_t a, int64_t b) {
  return guarded([&] { *out = box(t->value.transpose(a, b)); });
}
ct_status ct_permute(ct_tensor *out, ct_tensor t, const int64_t *axes, int32_t rank) {
  return guarded([&] { *out = box(t->value.permute(at::IntArrayRef(axes, rank))); });
}
ct_status ct_expand(ct_tensor *out, ct_tensor t, const int64_t *shape, int32_t rank) {
  return guarded([&] { *out = box(t->value.expand(at::IntArrayRef(shape, rank))); });
}
ct_status ct_unsqueeze(ct_tensor *out, ct_tensor t, int64_t axis) {
  return guarded([&] { *out = box(t->value.unsqueeze(axis)); });
}
ct_status ct_squeeze(ct_tensor *out, ct_tensor t, int64_t axis) {
  return guarded([&] { *out = box(t->value.squeeze(axis)); });
}
ct_status ct_slice(ct_tensor *out, ct_tensor t, int64_t axis, int64_t start, int64_t end, int64_t step) {
  return guarded([&] {
    // ATen clamps slices silently; a slice that does not exist is an error here.
    int64_t size = t->value.size(axis);
    TORCH_CHECK_INDEX(start >= 0 && start <= end && end <= size && step >= 1, "slice ", start, "..<", end, " step ",
                      step, " is outside axis ", axis, " of size ", size);
    *out = box(t->value.slice(axis, start, end, step));
  });
}
ct_status ct_select(ct_tensor *out, ct_tensor t, int64_t axis, int64_t index) {
  return guarded([&] { *out = box(t->value.select(axis, index)); });
}
ct_status ct_index_select(ct_tensor *out, ct_tensor t, int64_t axis, ct_tensor indices) {
  return guarded([&] { *out = box(t->value.index_select(axis, indices->value)); });
}
ct_status ct_gather(ct_tensor *out, ct_tensor t, int64_t axis, ct_tensor indices) {
  return guarded([&] { *out = box(t->value.gather(axis, indices->value)); });
}
ct_status ct_concatenate(ct_tensor *out, const ct_tensor *tensors, int32_t count, int64_t axis) {
  return guarded([&] { *out = box(make::joined(list(tensors, count), axis)); });
}
ct_status ct_stack(ct_tensor *out, const ct_tensor *tensors, int32_t count, int64_t axis) {
  return guarded([&] { *out = box(make::stacked(list(tensors, count), axis)); });
}
ct_status ct_flip(ct_tensor *out, ct_tensor t, int64_t axis) {
  return guarded([&] { *out = box(t->value.flip({axis})); });
}
ct_status ct_where(ct_tensor *out, ct_tensor condition, ct_tensor a, ct_tensor b) {
  return guarded([&] { *out = box(a->value.where(condition->value, b->value)); });
}
ct_status ct_masked_fill(ct_tensor *out, ct_tensor t, ct_tensor mask, double value) {
  return guarded([&] { *out = box(t->value.masked_fill(mask->value, value)); });
}
ct_status ct_repeat_interleave(ct_tensor *out, ct_tensor t, int64_t count, int64_t axis) {
  return guarded([&] { *out = box(t->value.repeat_interleave(count, axis)); });
}
ct_status ct_topk(ct_tensor *values, ct_tensor *indices, ct_tensor t, int64_t count, int64_t axis) {
  return guarded([&] {
    auto [largest, order] = t->value.topk(count, axis);
    *values = box(largest);
    *indices = box(order);
  });
}
ct_status ct_sort(ct_tensor *values, ct_tensor *indices, ct_tensor t, int64_t axis, bool descending) {
  return guarded([&] {
    auto [sorted, order] = t->value.sort(/*stable=*/true, axis, descending);
    *values = box(sorted);
    *indices = box(order);
  });
}
ct_status ct_slice_scatter(ct_tensor *out, ct_tensor x, ct_tensor source, int64_t axis, int64_t begin, int64_t end,
                           int64_t step) {
  return guarded([&] { *out = box(x->value.slice_scatter(source->value, axis, begin, end, step)); });
}

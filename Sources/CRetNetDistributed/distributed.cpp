// The only file that includes the headers of c10d, which take longer to compile than all others of LibTorch.
#include "../CRetNetTorch/library/support.h"

#include "cdistributed.h"

#define USE_C10D_GLOO
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <torch/headeronly/version.h>

#include <algorithm>
#include <arpa/inet.h>
#include <cstring>
#include <future>
#include <netdb.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

using namespace ctorch;
using std::chrono::milliseconds;

struct cd_store_box {
  c10::intrusive_ptr<c10d::TCPStore> store;
  milliseconds patience;
  bool is_lost = false;
};

namespace {

std::vector<uint8_t> bytes_of(const void *bytes, int64_t count) {
  auto first = static_cast<const uint8_t *>(bytes);
  return first ? std::vector<uint8_t>(first, first + count) : std::vector<uint8_t>();
}
std::vector<uint8_t> bytes_of(const std::string &text) { return {text.begin(), text.end()}; }

// Runs an operation of the store, but waits for it no longer than the store's patience: where the network is cut, the
// operation itself would never end. It is left behind then, with a reference to the store.
template <class Body> auto bounded(cd_store store, Body body) {
  using Result = decltype(body(*store->store));
  TORCH_CHECK(!store->is_lost, "the store does not answer");
  auto task = std::make_shared<std::packaged_task<Result()>>(
      [kept = store->store, body = std::move(body)] { return body(*kept); });
  auto result = task->get_future();
  std::thread([task] { (*task)(); }).detach();
  if (result.wait_for(store->patience) != std::future_status::ready) {
    store->is_lost = true;
    TORCH_CHECK(false, "the store does not answer");
  }
  return result.get();
}

c10d::ReduceOp operation(cd_reduction reduction) {
  switch (reduction) {
  case CD_SUM: return c10d::ReduceOp::SUM;
  case CD_MINIMUM: return c10d::ReduceOp::MIN;
  case CD_MAXIMUM: return c10d::ReduceOp::MAX;
  }
  TORCH_CHECK_VALUE(false, "unknown reduction ", reduction);
}

} // namespace

const char *cd_version_built(void) { return TORCH_VERSION; }

// ---- Store ----

ct_status cd_store_open(cd_store *out, const char *host, int32_t port, bool serves, int64_t timeout_ms) {
  return guarded([&] {
    TORCH_CHECK_VALUE(port >= 0 && port <= 65535, "the port must be from 0 to 65535, found ", port);
    c10d::TCPStoreOptions options;
    options.port = static_cast<uint16_t>(port);
    options.isServer = serves;
    options.waitWorkers = false;
    options.timeout = milliseconds(timeout_ms);
    auto patience = std::clamp(milliseconds(timeout_ms), milliseconds(2000), milliseconds(30000));
    *out = new cd_store_box{c10::make_intrusive<c10d::TCPStore>(host, options), patience};
  });
}
void cd_store_free(cd_store store) { delete store; }
int32_t cd_store_port(cd_store store) { return store->store->getPort(); }

ct_status cd_store_set(cd_store store, const char *key, const void *bytes, int64_t count) {
  return guarded([&] {
    bounded(store, [name = std::string(key), value = bytes_of(bytes, count)](c10d::TCPStore &to) { to.set(name, value); });
  });
}

ct_status cd_store_get(cd_store store, const char *key, bool *found,
                       void (*receive)(void *context, const void *bytes, int64_t count), void *context) {
  return guarded([&] {
    auto value = bounded(store, [name = std::string(key)](c10d::TCPStore &from) {
      return from.check({name}) ? std::optional<std::vector<uint8_t>>(from.get(name)) : std::nullopt;
    });
    *found = value.has_value();
    if (value)
      receive(context, value->data(), static_cast<int64_t>(value->size()));
  });
}

ct_status cd_store_add(int64_t *out, cd_store store, const char *key, int64_t amount) {
  return guarded([&] {
    *out = bounded(store, [name = std::string(key), amount](c10d::TCPStore &to) { return to.add(name, amount); });
  });
}

ct_status cd_store_claim(cd_store store, const char *key, const void *bytes, int64_t count, bool *is_first) {
  return guarded([&] {
    // The count decides: it is one operation of the store.
    *is_first = bounded(store, [name = std::string(key), value = bytes_of(bytes, count)](c10d::TCPStore &to) {
      bool is_first = to.add(name + "/claims", 1) == 1;
      if (is_first)
        to.set(name, value);
      return is_first;
    });
  });
}

ct_status cd_local_address(const char *host, int32_t port, char *buffer, int64_t capacity) {
  return guarded([&] {
    addrinfo hints{}, *found = nullptr;
    hints.ai_socktype = SOCK_DGRAM;
    int code = getaddrinfo(host, std::to_string(port).c_str(), &hints, &found);
    TORCH_CHECK(code == 0, "the name '", host, "' has no address: ", gai_strerror(code));
    std::string result;
    for (auto *entry = found; entry && result.empty(); entry = entry->ai_next) {
      int descriptor = socket(entry->ai_family, entry->ai_socktype, entry->ai_protocol);
      if (descriptor < 0)
        continue;
      sockaddr_storage own{};
      socklen_t length = sizeof own;
      char text[NI_MAXHOST];
      // Connecting a datagram socket sends nothing; it only chooses the route.
      if (connect(descriptor, entry->ai_addr, entry->ai_addrlen) == 0 &&
          getsockname(descriptor, reinterpret_cast<sockaddr *>(&own), &length) == 0 &&
          getnameinfo(reinterpret_cast<sockaddr *>(&own), length, text, sizeof text, nullptr, 0, NI_NUMERICHOST) == 0)
        result = text;
      close(descriptor);
    }
    freeaddrinfo(found);
    TORCH_CHECK(!result.empty(), "there is no route to '", host, "'");
    snprintf(buffer, capacity, "%s", result.c_str());
  });
}

// ---- Group ----

namespace {

// What the groups of a rank have in common: they live and end together.
struct Life {
  std::atomic<int32_t> condition{CD_ALIVE};
  std::atomic<int64_t> operations{0};
};

} // namespace

struct cd_group_box {
  c10::intrusive_ptr<c10d::ProcessGroupGloo> group;
  std::shared_ptr<Life> life = std::make_shared<Life>();
  std::vector<std::shared_ptr<::gloo::transport::Device>> devices;
  c10::intrusive_ptr<c10d::Store> store; // a connection of its own, for the thread; none in parts
  int rank;
  milliseconds timeout, beat;
  std::thread thread;
  std::mutex mutex;
  std::condition_variable wake;
  bool stops = false, has_stopped = false;

  // Writes signs of life, and looks for the message that ends the run.
  void watch() {
    int failures = 0;
    std::unique_lock<std::mutex> lock(mutex);
    for (int64_t number = 0; !stops; number++) {
      lock.unlock();
      try {
        store->set("beat/" + std::to_string(rank),
                   bytes_of(std::to_string(number) + " " + std::to_string(life->operations.load())));
        if (store->check({"abort"}))
          life->condition = CD_ENDED;
        failures = 0;
      } catch (...) {
        int32_t alive = CD_ALIVE;
        if (++failures >= 3)
          life->condition.compare_exchange_strong(alive, CD_STORE_LOST);
      }
      lock.lock();
      wake.wait_for(lock, beat, [&] { return stops; });
    }
    has_stopped = true;
    wake.notify_all();
  }

  // Waits for an operation, but no longer than the run lives.
  void wait(const c10::intrusive_ptr<c10d::Work> &work) {
    for (;;) {
      TORCH_CHECK(life->condition.load() == CD_ALIVE, "the run has ended");
      try {
        work->wait(milliseconds(200));
        return;
      } catch (...) {
        // Thrown as well where only this slice of the time is over.
        if (work->isCompleted())
          throw;
      }
    }
  }
};

namespace {

at::Tensor own(ct_tensor t) {
  TORCH_CHECK_VALUE(t->value.device().is_cpu() && t->value.is_contiguous(),
                    "tensors between ranks must be contiguous and on the CPU");
  return t->value.detach();
}

// Connects the ranks of a group to each other, by keys of its own.
void connect(cd_group_box &made, cd_store store, const char *prefix, int32_t size) {
  auto options = c10d::ProcessGroupGloo::Options::create(made.timeout);
  options->devices = made.devices;
  auto meeting = c10::make_intrusive<c10d::PrefixStore>(std::string(prefix) + "/gloo", store->store->clone());
  meeting->setTimeout(made.timeout);
  made.group = c10::make_intrusive<c10d::ProcessGroupGloo>(meeting, made.rank, size, options);
}

template <class Start> ct_status collective(cd_group group, Start &&start) {
  return guarded([&] {
    group->life->operations++;
    group->wait(start(*group->group));
  });
}

} // namespace

ct_status cd_group_new(cd_group *out, cd_store store, const char *prefix, int32_t rank, int32_t size,
                       const char *address, const char *interface, int64_t timeout_ms, int64_t beat_ms) {
  return guarded([&] {
    auto made = std::make_unique<cd_group_box>();
    made->rank = rank;
    made->timeout = milliseconds(timeout_ms);
    made->beat = milliseconds(beat_ms);
    made->store = c10::make_intrusive<c10d::PrefixStore>(prefix, store->store->clone());
    made->devices.push_back(interface ? c10d::ProcessGroupGloo::createDeviceForInterface(interface)
                                      : c10d::ProcessGroupGloo::createDeviceForHostname(address));
    connect(*made, store, prefix, size);
    made->thread = std::thread([box = made.get()] { box->watch(); });
    *out = made.release();
  });
}

ct_status cd_group_part(cd_group *out, cd_group whole, cd_store store, const char *prefix, int32_t rank, int32_t size) {
  return guarded([&] {
    auto made = std::make_unique<cd_group_box>();
    made->rank = rank;
    made->timeout = whole->timeout;
    made->beat = whole->beat;
    made->life = whole->life;
    made->devices = whole->devices;
    made->has_stopped = true;
    connect(*made, store, prefix, size);
    *out = made.release();
  });
}

void cd_group_free(cd_group group, bool is_broken) {
  {
    std::unique_lock<std::mutex> lock(group->mutex);
    group->stops = true;
    group->wake.notify_all();
    // Where the network is cut, the thread waits for the store for ever.
    if (!group->wake.wait_for(lock, std::chrono::seconds(2), [&] { return group->has_stopped; })) {
      group->thread.detach();
      return;
    }
  }
  if (group->thread.joinable())
    group->thread.join();
  // The end of the group would wait for operations that may hang.
  if (is_broken)
    (void)group->group.release();
  delete group;
}

cd_condition cd_group_condition(cd_group group) { return static_cast<cd_condition>(group->life->condition.load()); }
int64_t cd_group_operation_count(cd_group group) { return group->life->operations.load(); }

ct_status cd_all_reduce(cd_group group, ct_tensor t, cd_reduction reduction) {
  return collective(group, [&](auto &gloo) {
    variable_list tensors{own(t)};
    c10d::AllreduceOptions options;
    options.reduceOp = operation(reduction);
    return gloo.allreduce(tensors, options);
  });
}

ct_status cd_reduce_scatter(cd_group group, ct_tensor output, ct_tensor input, cd_reduction reduction) {
  return collective(group, [&](auto &gloo) {
    auto to = own(output), from = own(input);
    c10d::ReduceScatterOptions options;
    options.reduceOp = operation(reduction);
    return gloo._reduce_scatter_base(to, from, options);
  });
}

ct_status cd_all_gather(cd_group group, ct_tensor output, ct_tensor input) {
  return collective(group, [&](auto &gloo) {
    auto to = own(output), from = own(input);
    return gloo._allgather_base(to, from);
  });
}

ct_status cd_broadcast(cd_group group, ct_tensor t, int32_t root) {
  return collective(group, [&](auto &gloo) {
    variable_list tensors{own(t)};
    c10d::BroadcastOptions options;
    options.rootRank = root;
    return gloo.broadcast(tensors, options);
  });
}

// A wait that ends early would close the connections, so these wait for the whole time.
ct_status cd_send(cd_group group, ct_tensor t, int32_t rank, int32_t tag) {
  return guarded([&] {
    group->life->operations++;
    variable_list tensors{own(t)};
    group->group->send(tensors, rank, tag)->wait(group->timeout);
  });
}
ct_status cd_receive(cd_group group, ct_tensor t, int32_t rank, int32_t tag) {
  return guarded([&] {
    group->life->operations++;
    variable_list tensors{own(t)};
    group->group->recv(tensors, rank, tag)->wait(group->timeout);
  });
}

ct_status cd_barrier(cd_group group) {
  return collective(group, [&](auto &gloo) { return gloo.barrier(); });
}

// ---- Buckets ----

namespace {

struct Bucket {
  std::vector<size_t> members; // indices of parameters
  std::vector<int64_t> offsets;
  int64_t count = 0;
  size_t missing = 0;
  bool comes_in_parts = false; // so that it is sent last
  at::Tensor sums, wire; // [count]
  c10::intrusive_ptr<c10d::Work> work;
};

} // namespace

struct cd_buckets_box {
  cd_group group;
  variable_list parameters;
  std::vector<size_t> bucket_of;
  std::vector<Bucket> buckets;
  bool narrows;
  bool is_open = false;
  size_t next = 0;                // the first bucket that is not sent
  std::vector<uint8_t> arrivals;  // of each parameter, in this step
  std::vector<uint8_t> flags;

  at::Tensor slice(const Bucket &bucket, size_t member) const {
    const auto &parameter = parameters[bucket.members[member]];
    return bucket.sums.narrow(0, bucket.offsets[member], parameter.numel()).view(parameter.sizes());
  }

  void arrive(size_t index) {
    if (!is_open)
      return;
    // Segments that are computed again give shared parameters a gradient each.
    if (arrivals[index]) {
      flags[index] |= CD_CAME_IN_PARTS;
      return;
    }
    arrivals[index] = 1;
    buckets[bucket_of[index]].missing--;
    for (; next < buckets.size(); next++) {
      if (buckets[next].comes_in_parts)
        continue;
      if (buckets[next].missing)
        break;
      send(buckets[next]);
    }
  }

  // Moves gradients into the bucket and starts its sum. The same order on all ranks: each waits for the one before it.
  void send(Bucket &bucket) {
    at::AutoGradMode without_gradients(false);
    for (size_t i = 0; i < bucket.members.size(); i++) {
      const auto &parameter = parameters[bucket.members[i]];
      auto part = slice(bucket, i);
      const auto &gradient = parameter.grad();
      if (gradient.defined()) {
        flags[bucket.members[i]] |= CD_HAS_GRADIENT;
        part.copy_(gradient);
        // The memory of the gradient is free at once, and what comes later is found.
        parameter.mutable_grad() = at::Tensor();
      } else {
        part.zero_();
      }
    }
    start(bucket);
  }

  void start(Bucket &bucket) {
    if (narrows)
      bucket.wire.copy_(bucket.sums);
    variable_list tensors{bucket.wire};
    group->life->operations++;
    bucket.work = group->group->allreduce(tensors);
  }

  void wait(Bucket &bucket) {
    group->wait(bucket.work);
    bucket.work.reset();
    if (narrows)
      bucket.sums.copy_(bucket.wire);
  }

  // Adds what came after the bucket was sent.
  void add_late_parts(Bucket &bucket) {
    auto early = bucket.sums.clone();
    send(bucket);
    wait(bucket);
    bucket.sums.add_(early);
    bucket.comes_in_parts = true;
  }
};

namespace {

struct Arrival : torch::autograd::PostAccumulateGradHook {
  cd_buckets_box *buckets;
  size_t index;
  Arrival(cd_buckets_box *buckets, size_t index) : buckets(buckets), index(index) {}
  void operator()(const at::Tensor &) override { buckets->arrive(index); }
};

} // namespace

ct_status cd_buckets_new(cd_buckets *out, cd_group group, const ct_tensor *parameters, int32_t count,
                         int64_t bucket_bytes, bool wire_is_bfloat16) {
  return guarded([&] {
    auto made = std::make_unique<cd_buckets_box>();
    made->group = group;
    made->parameters = list(parameters, count);
    made->narrows = wire_is_bfloat16;
    made->bucket_of.resize(count);
    made->arrivals.assign(count, 0);
    made->flags.assign(count, 0);
    for (size_t index = count; index-- > 0;) {
      const auto &parameter = made->parameters[index];
      TORCH_CHECK_VALUE(parameter.device().is_cpu(), "gradients are summed over ranks on the CPU only");
      bool fits = !made->buckets.empty();
      if (fits) {
        const auto &last = made->buckets.back();
        const auto &first = made->parameters[last.members[0]];
        fits = first.scalar_type() == parameter.scalar_type() &&
               (last.count + parameter.numel()) * parameter.element_size() <= bucket_bytes;
      }
      if (!fits)
        made->buckets.emplace_back();
      auto &bucket = made->buckets.back();
      bucket.members.push_back(index);
      bucket.offsets.push_back(bucket.count);
      bucket.count += parameter.numel();
      made->bucket_of[index] = made->buckets.size() - 1;
    }
    for (auto &bucket : made->buckets) {
      auto options = made->parameters[bucket.members[0]].options().requires_grad(false);
      bucket.sums = at::empty({bucket.count}, options);
      bucket.wire = wire_is_bfloat16 ? at::empty({bucket.count}, options.dtype(at::kBFloat16)) : bucket.sums;
    }
    for (size_t index = 0; index < made->parameters.size(); index++)
      torch::autograd::impl::set_post_acc_grad_hooks(made->parameters[index],
                                                     std::make_unique<Arrival>(made.get(), index));
    *out = made.release();
  });
}

void cd_buckets_free(cd_buckets buckets) {
  for (const auto &parameter : buckets->parameters)
    torch::autograd::impl::set_post_acc_grad_hooks(parameter, nullptr);
  // Sums that are under way keep their tensors alive themselves.
  delete buckets;
}

int32_t cd_buckets_count(cd_buckets buckets) { return static_cast<int32_t>(buckets->buckets.size()); }

void cd_buckets_begin(cd_buckets buckets) {
  buckets->is_open = true;
  buckets->next = 0;
  std::fill(buckets->arrivals.begin(), buckets->arrivals.end(), 0);
  std::fill(buckets->flags.begin(), buckets->flags.end(), 0);
  for (auto &bucket : buckets->buckets)
    bucket.missing = bucket.members.size();
}

ct_status cd_buckets_finish(cd_buckets buckets, uint8_t *flags, double *waited) {
  return guarded([&] {
    buckets->is_open = false;
    for (; buckets->next < buckets->buckets.size(); buckets->next++)
      if (!buckets->buckets[buckets->next].comes_in_parts)
        buckets->send(buckets->buckets[buckets->next]);
    for (auto &bucket : buckets->buckets)
      if (bucket.comes_in_parts)
        buckets->send(bucket);
    auto start = std::chrono::steady_clock::now();
    for (auto &bucket : buckets->buckets)
      buckets->wait(bucket);
    *waited = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    for (size_t index = 0; index < buckets->parameters.size(); index++)
      if (buckets->parameters[index].grad().defined())
        buckets->flags[index] |= CD_HAS_GRADIENT | CD_CAME_IN_PARTS;
    std::copy(buckets->flags.begin(), buckets->flags.end(), flags);
  });
}

ct_status cd_buckets_fill(cd_buckets buckets, const uint8_t *flags) {
  return guarded([&] {
    at::AutoGradMode without_gradients(false);
    for (auto &bucket : buckets->buckets) {
      bool in_parts = std::any_of(bucket.members.begin(), bucket.members.end(),
                                  [&](size_t index) { return flags[index] & CD_CAME_IN_PARTS; });
      if (in_parts && !bucket.comes_in_parts)
        buckets->add_late_parts(bucket);
      for (size_t i = 0; i < bucket.members.size(); i++)
        if (flags[bucket.members[i]] & CD_HAS_GRADIENT)
          buckets->parameters[bucket.members[i]].mutable_grad() = buckets->slice(bucket, i);
    }
  });
}

int32_t cd_buckets_place(cd_buckets buckets, int32_t parameter) {
  return static_cast<int32_t>(buckets->bucket_of[parameter]);
}
int64_t cd_buckets_bytes(cd_buckets buckets, int32_t bucket) {
  return static_cast<int64_t>(buckets->buckets[bucket].sums.nbytes());
}

ct_status cd_buckets_share(cd_buckets buckets, const int32_t *owners) {
  return guarded([&] {
    at::AutoGradMode without_gradients(false);
    auto *group = buckets->group;
    // The memory of the sums carries the parameters.
    for (size_t index = 0; index < buckets->buckets.size(); index++) {
      auto &bucket = buckets->buckets[index];
      if (owners[index] == group->rank)
        for (size_t i = 0; i < bucket.members.size(); i++)
          buckets->slice(bucket, i).copy_(buckets->parameters[bucket.members[i]].detach());
      variable_list tensors{bucket.sums};
      c10d::BroadcastOptions options;
      options.rootRank = owners[index];
      group->life->operations++;
      bucket.work = group->group->broadcast(tensors, options);
    }
    for (size_t index = 0; index < buckets->buckets.size(); index++) {
      auto &bucket = buckets->buckets[index];
      group->wait(bucket.work);
      bucket.work.reset();
      if (owners[index] != group->rank)
        for (size_t i = 0; i < bucket.members.size(); i++)
          buckets->parameters[bucket.members[i]].detach().copy_(buckets->slice(bucket, i));
    }
  });
}

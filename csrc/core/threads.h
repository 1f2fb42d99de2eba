// A parallel loop that starts threads only when there is enough to do.
#pragma once

#include <cstddef>
#include <functional>

namespace ssiqa {

// SSIQA_NUM_THREADS, else the cores this process may run on; read once. Throws std::runtime_error for a bad value.
std::size_t n_threads();

// Calls body(i) for each i < count. Threads are joined before it returns, so a fork() between two calls is safe.
// `work` is the cost of the whole loop in arithmetic operations: starting a thread costs tens of microseconds, so a small
// loop stays on the calling thread. The first exception of a body is rethrown here.
void parallel_for(std::size_t count, double work, std::size_t threads, const std::function<void(std::size_t)>& body);

// Likewise body(i, worker): worker < threads is never the same for two calls at a time, so that it can name scratch memory.
void parallel_for_workers(std::size_t count, double work, std::size_t threads,
                          const std::function<void(std::size_t, std::size_t)>& body);

}  // namespace ssiqa

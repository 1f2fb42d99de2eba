#include "threads.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#ifdef __linux__
#include <sched.h>
#endif

namespace ssiqa {
namespace {

// About a hundred microseconds on one core: below this, a second thread gains nothing.
constexpr double kSmallWork = 4e6;
constexpr std::size_t kMaxThreads = 1024;

// Joins what was started, also when one more could not be. Not std::jthread, which libc++ has since version 20 only.
struct Helpers {
  std::vector<std::thread> threads;
  ~Helpers() {
    for (std::thread& thread : threads) thread.join();
  }
};

std::size_t visible_cores() {
#ifdef __linux__
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    return static_cast<std::size_t>(std::max(CPU_COUNT(&set), 1));
  }
#endif
  return std::max(std::thread::hardware_concurrency(), 1U);
}

std::size_t configured_threads() {
  const char* value = std::getenv("SSIQA_NUM_THREADS");
  if (value == nullptr || *value == '\0') return visible_cores();
  const std::string_view text(value);
  std::size_t threads = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), threads);
  if (error != std::errc{} || end != text.data() + text.size() || threads == 0 || threads > kMaxThreads) {
    throw std::runtime_error("SSIQA_NUM_THREADS must be a whole number from 1 to " + std::to_string(kMaxThreads) +
                             ", not '" + std::string(text) + "'.");
  }
  return threads;
}

}  // namespace

std::size_t n_threads() {
  static const std::size_t threads = configured_threads();
  return threads;
}

void parallel_for(std::size_t count, double work, std::size_t threads, const std::function<void(std::size_t)>& body) {
  parallel_for_workers(count, work, threads, [&body](std::size_t i, std::size_t /*worker*/) { body(i); });
}

void parallel_for_workers(std::size_t count, double work, std::size_t threads,
                          const std::function<void(std::size_t, std::size_t)>& body) {
  threads = std::min(threads, count);
  if (threads <= 1 || work < kSmallWork) {
    for (std::size_t i = 0; i < count; ++i) body(i, 0);
    return;
  }
  std::atomic<std::size_t> next{0};
  std::exception_ptr failure;
  std::mutex failure_mutex;
  const auto drain = [&](std::size_t worker) {
    try {
      for (std::size_t i = next++; i < count; i = next++) body(i, worker);
    } catch (...) {
      next = count;
      const std::lock_guard lock(failure_mutex);
      if (!failure) failure = std::current_exception();
    }
  };
  {
    Helpers helpers;
    helpers.threads.reserve(threads - 1);
    for (std::size_t worker = 1; worker < threads; ++worker) helpers.threads.emplace_back(drain, worker);
    drain(0);
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace ssiqa

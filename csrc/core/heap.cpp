#include "heap.h"

#ifdef __linux__
#include <features.h>
#endif
#ifdef __GLIBC__
#include <malloc.h>

#include <limits>
#include <mutex>
#endif

namespace ssiqa {

#ifdef __GLIBC__
namespace {

constexpr int kLargestBlock = 32 << 20;  // glibc accepts no more

std::mutex mutex;
int keeping = 0;

}  // namespace

void keep_freed_memory() {
  const std::lock_guard lock(mutex);
  if (keeping++ > 0) return;
  mallopt(M_MMAP_THRESHOLD, kLargestBlock);
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
}

void release_freed_memory() {
  const std::lock_guard lock(mutex);
  if (--keeping > 0) return;
  mallopt(M_TRIM_THRESHOLD, 2 * kLargestBlock);
  malloc_trim(0);
}
#else
void keep_freed_memory() {}
void release_freed_memory() {}
#endif

}  // namespace ssiqa

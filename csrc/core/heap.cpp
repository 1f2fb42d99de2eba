#include "heap.h"

#ifdef __linux__
#include <features.h>
#endif
#ifdef __GLIBC__
#include <malloc.h>

#include <limits>
#endif

namespace ssiqa {

bool keep_freed_memory([[maybe_unused]] bool keep) {
#ifdef __GLIBC__
  constexpr int kLargest = 32 << 20;  // glibc accepts no larger threshold
  constexpr int kUsual = 128 << 10;   // of both, as glibc starts
  const bool done = mallopt(M_MMAP_THRESHOLD, keep ? kLargest : kUsual) == 1 &&
                    mallopt(M_TRIM_THRESHOLD, keep ? std::numeric_limits<int>::max() : kUsual) == 1;
  if (!keep) malloc_trim(0);
  return done;
#else
  return false;
#endif
}

}  // namespace ssiqa

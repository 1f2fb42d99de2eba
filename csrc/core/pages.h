// A vector for much memory that is written soon: its numbers start uninitialised, and its pages are large ones, because
// the first touch of each page can cost more than what is done to the numbers in it.
#pragma once

#include <cstddef>
#include <new>
#include <utility>
#include <vector>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace ssiqa {

template <class T>
struct LargePages {
  using value_type = T;

  LargePages() = default;
  template <class U>
  LargePages(const LargePages<U>&) {}
  bool operator==(const LargePages&) const = default;

  T* allocate(std::size_t count) {
    const std::size_t bytes = count * sizeof(T);
    if (bytes < kPage) return static_cast<T*>(::operator new(bytes));
    void* const memory = ::operator new(bytes, std::align_val_t{kPage});
#ifdef __linux__
    madvise(memory, bytes, MADV_HUGEPAGE);  // a wish: nothing depends on it
#endif
    return static_cast<T*>(memory);
  }

  void deallocate(T* memory, std::size_t count) {
    if (count * sizeof(T) < kPage) {
      ::operator delete(memory);
    } else {
      ::operator delete(memory, std::align_val_t{kPage});
    }
  }

  template <class U>
  void construct(U* place) {
    ::new (static_cast<void*>(place)) U;
  }
  template <class U, class... Values>
  void construct(U* place, Values&&... values) {
    ::new (static_cast<void*>(place)) U(std::forward<Values>(values)...);
  }

 private:
  static constexpr std::size_t kPage = std::size_t{1} << 21U;
};

template <class T>
using LargeVector = std::vector<T, LargePages<T>>;

}  // namespace ssiqa

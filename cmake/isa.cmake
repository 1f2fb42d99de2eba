# The inner loops are compiled once per instruction set; the one to run is chosen when the module is loaded.
include(CheckCXXSourceCompiles)

set(SSIQA_ISA_SOURCES csrc/core/kernels_baseline.cpp)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(SSIQA_X86 ON)
  list(APPEND SSIQA_ISA_SOURCES csrc/core/kernels_avx2.cpp csrc/core/kernels_avx512.cpp)
  set(SSIQA_AVX512_FLAGS -mavx2 -mfma -mavx512f -mavx512vl -mavx512bw -mavx512dq -mprefer-vector-width=512)
  set_property(SOURCE csrc/core/kernels_avx2.cpp APPEND PROPERTY COMPILE_OPTIONS -mavx2 -mfma)
  set_property(SOURCE csrc/core/kernels_avx512.cpp APPEND PROPERTY COMPILE_OPTIONS ${SSIQA_AVX512_FLAGS})

  # The tile unit needs a system that hands it out, an assembler that knows it and, for the order of its tiles, a builtin.
  check_cxx_source_compiles("
    #include <sys/syscall.h>
    #ifndef __linux__
    #error tiles are asked for by a system call of Linux
    #endif
    typedef int Words __attribute__((vector_size(64)));
    int main() {
      Words w{};
      w = __builtin_shufflevector(w, w, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
      asm volatile(\"tdpbf16ps %tmm2, %tmm1, %tmm0\");
      return w[0] + SYS_arch_prctl;
    }" SSIQA_AMX)
  if(SSIQA_AMX)
    list(APPEND SSIQA_ISA_SOURCES csrc/core/kernels_amx.cpp)
    set_property(SOURCE csrc/core/kernels_amx.cpp APPEND PROPERTY COMPILE_OPTIONS ${SSIQA_AVX512_FLAGS})
  endif()
endif()
# Products and sums may fuse: dot products and norms then round alike, which makes equal rows exactly equal. Vector
# arguments are always inlined, so the note about their calling convention does not apply.
set_property(SOURCE ${SSIQA_ISA_SOURCES} APPEND PROPERTY COMPILE_OPTIONS -ffp-contract=fast -Wno-psabi)

# The inner loops are compiled once per instruction set; the one to run is chosen when the module is loaded.
set(SSIQA_ISA_SOURCES csrc/core/kernels_baseline.cpp)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(SSIQA_X86 ON)
  list(APPEND SSIQA_ISA_SOURCES csrc/core/kernels_avx2.cpp csrc/core/kernels_avx512.cpp)
  set_property(SOURCE csrc/core/kernels_avx2.cpp APPEND PROPERTY COMPILE_OPTIONS -mavx2 -mfma)
  set_property(SOURCE csrc/core/kernels_avx512.cpp APPEND PROPERTY COMPILE_OPTIONS
               -mavx2 -mfma -mavx512f -mavx512vl -mavx512bw -mavx512dq -mprefer-vector-width=512)
endif()
# Products and sums may fuse: dot products and norms then round alike, which makes equal rows exactly equal. Vector
# arguments are always inlined, so the note about their calling convention does not apply.
set_property(SOURCE ${SSIQA_ISA_SOURCES} APPEND PROPERTY COMPILE_OPTIONS -ffp-contract=fast -Wno-psabi)

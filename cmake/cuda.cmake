# The kernels for GPUs, a module of their own. A plain build is for the GPU that is found, or else for the oldest one that is
# supported, whose code later ones can translate. Wheels for everybody name them all:
#   pip wheel . --no-deps -C cmake.define.SSIQA_CUDA=on \
#       -C "cmake.define.CMAKE_CUDA_ARCHITECTURES=80-real;86-real;89-real;90a-real;100-real;120"
set(SSIQA_CUDA auto CACHE STRING "Build the kernels for GPUs: auto (where a CUDA compiler is found), on or off")
string(TOLOWER "${SSIQA_CUDA}" SSIQA_CUDA_WANTED)
set(SSIQA_WITH_CUDA OFF)
if(SSIQA_CUDA_WANTED MATCHES "^(off|no|n|false|0)$" OR NOT SSIQA_BUILD_MODULE)
  return()
endif()

# The first whose compiler knows C++20.
set(oldest 12.0)
include(CheckLanguage)
check_language(CUDA)
if(CMAKE_CUDA_COMPILER)
  execute_process(COMMAND ${CMAKE_CUDA_COMPILER} --version OUTPUT_VARIABLE found ERROR_QUIET)
  string(REGEX MATCH "release ([0-9]+\\.[0-9]+)" found "${found}")
endif()
if(NOT CMAKE_CUDA_COMPILER OR CMAKE_MATCH_1 VERSION_LESS oldest)
  if(NOT SSIQA_CUDA_WANTED STREQUAL "auto")
    message(FATAL_ERROR "SSIQA_CUDA is ${SSIQA_CUDA}, but there is no CUDA compiler of ${oldest} or newer; install one, or set it to off.")
  endif()
  message(STATUS "No CUDA compiler of ${oldest} or newer: without kernels for GPUs")
  return()
endif()

if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES AND NOT DEFINED ENV{CUDAARCHS})
  # Those GPUs here that the kernels are written for and the compiler knows.
  execute_process(COMMAND nvidia-smi --query-gpu=compute_cap --format=csv,noheader OUTPUT_VARIABLE here RESULT_VARIABLE failed
                  ERROR_QUIET)
  execute_process(COMMAND ${CMAKE_CUDA_COMPILER} --list-gpu-code OUTPUT_VARIABLE known ERROR_QUIET)
  if(failed STREQUAL "0")
    string(REGEX MATCHALL "[0-9]+\\.[0-9]" here "${here}")
    foreach(capability IN LISTS here)
      string(REPLACE "." "" architecture "${capability}")
      if(capability VERSION_LESS 8.0 OR NOT known MATCHES "sm_${architecture}\n")
        continue()
      endif()
      string(REGEX REPLACE "^90$" "90a" architecture ${architecture})  # with wgmma, which later ones lack
      list(APPEND CMAKE_CUDA_ARCHITECTURES ${architecture})
    endforeach()
    list(REMOVE_DUPLICATES CMAKE_CUDA_ARCHITECTURES)
  endif()
  if(NOT CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 80)
  endif()
endif()
enable_language(CUDA)
find_package(CUDAToolkit REQUIRED)
set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
set(SSIQA_WITH_CUDA ON)
message(STATUS "Kernels for GPUs of architectures ${CMAKE_CUDA_ARCHITECTURES}")

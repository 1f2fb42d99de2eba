if(MSVC)
  message(FATAL_ERROR "ssiqa is built by GCC or Clang, not by MSVC: use Linux, or WSL on Windows.")
endif()

# One target that carries the language level, the warnings and, on request, the sanitizers.
add_library(ssiqa_flags INTERFACE)
target_compile_features(ssiqa_flags INTERFACE cxx_std_20)
target_compile_options(ssiqa_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wconversion>)
if(SSIQA_WERROR)
  target_compile_options(ssiqa_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Werror>)
endif()

if(SSIQA_SANITIZE)
  target_compile_options(ssiqa_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${SSIQA_SANITIZE}
                                               -fno-sanitize-recover=all -fno-omit-frame-pointer -g>)
  target_link_options(ssiqa_flags INTERFACE -fsanitize=${SSIQA_SANITIZE})
endif()

// Which matrix instructions the current device is given: mma, which all have, or a Hopper GPU's wgmma.
#pragma once

#include <cstdlib>
#include <stdexcept>
#include <string>

#include "gpu.h"

#ifdef SSIQA_GPU_MODEL
#include "hopper_model.h"
#endif

namespace ssiqa::gpu {

#ifndef SSIQA_GPU_MODEL
// Whether this device and this build have them: what is compiled for sm_90a runs there and nowhere else.
inline bool has_wgmma() {
#ifdef SSIQA_WITH_WGMMA
  return attribute(cudaDevAttrComputeCapabilityMajor) == 9 && attribute(cudaDevAttrComputeCapabilityMinor) == 0;
#else
  return false;
#endif
}
#endif

// Whether they are used: where they are there, unless SSIQA_GPU_ISA says mma.
inline bool use_wgmma() {
  const bool has = has_wgmma();
  const char* const value = std::getenv("SSIQA_GPU_ISA");
  if (value == nullptr) return has;
  const std::string asked(value);
  if (asked == "mma" || (asked == "wgmma" && has)) return asked == "wgmma";
  throw std::runtime_error("SSIQA_GPU_ISA is '" + asked + "', but this GPU and build allow only: mma" +
                           (has ? ", wgmma." : "."));
}

}  // namespace ssiqa::gpu

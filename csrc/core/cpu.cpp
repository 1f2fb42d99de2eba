#include "cpu.h"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <string_view>

#ifdef SSIQA_X86
#include <cpuid.h>
#endif
#ifdef SSIQA_AMX
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace ssiqa {
namespace {

#ifdef SSIQA_AMX
// Tiles make signal frames larger by 8 KB, so Linux enables them only in a process that asks, and may refuse.
bool tiles_granted() {
  constexpr long kRequestPermission = 0x1023;
  constexpr long kTileData = 18;
  static const bool granted = syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return granted;
}

bool has_amx() {
  constexpr unsigned kBf16 = 1U << 22U;
  constexpr unsigned kTiles = 1U << 24U;
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & kBf16) != 0 && (d & kTiles) != 0 && tiles_granted();
}
#endif

Isa choose_isa() {
  const std::vector<Isa> available = available_isas();
  const char* value = std::getenv("SSIQA_CPU_ISA");
  if (value == nullptr || *value == '\0') return available.back();
  const auto wanted = std::ranges::find(available, std::string_view(value), isa_name);
  if (wanted != available.end()) return *wanted;
  std::string allowed;
  for (const Isa isa : available) allowed += (allowed.empty() ? "" : ", ") + std::string(isa_name(isa));
  throw std::runtime_error("SSIQA_CPU_ISA is '" + std::string(value) + "', but this processor and build allow only: " +
                           allowed + ".");
}

}  // namespace

const char* isa_name(Isa isa) {
  switch (isa) {
    case Isa::amx:
      return "amx";
    case Isa::avx512:
      return "avx512";
    case Isa::avx2:
      return "avx2";
    case Isa::baseline:
      break;
  }
  return "baseline";
}

std::vector<Isa> available_isas() {
  std::vector<Isa> isas{Isa::baseline};
#ifdef SSIQA_X86
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (avx2) isas.push_back(Isa::avx2);
  if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")) {
    isas.push_back(Isa::avx512);
#ifdef SSIQA_AMX
    if (has_amx()) isas.push_back(Isa::amx);
#endif
  }
#endif
  return isas;
}

Isa active_isa() {
  static const Isa isa = choose_isa();
  return isa;
}

std::vector<std::string> cpu_features() {
  std::vector<std::string> found;
#ifdef SSIQA_X86
  const auto note = [&found](const char* name, bool present) {
    if (present) found.emplace_back(name);
  };
  note("sse2", __builtin_cpu_supports("sse2"));
  note("avx", __builtin_cpu_supports("avx"));
  note("avx2", __builtin_cpu_supports("avx2"));
  note("fma", __builtin_cpu_supports("fma"));
  note("avx512f", __builtin_cpu_supports("avx512f"));
  note("avx512vl", __builtin_cpu_supports("avx512vl"));
  note("avx512bw", __builtin_cpu_supports("avx512bw"));
  note("avx512dq", __builtin_cpu_supports("avx512dq"));
  // Compilers disagree on the names of the newer ones, so these bits come from CPUID leaf 7.
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) != 0) {
    note("avx512_vnni", (c >> 11U & 1U) != 0);
    note("avx512_fp16", (d >> 23U & 1U) != 0);
    note("amx_bf16", (d >> 22U & 1U) != 0);
    note("amx_tile", (d >> 24U & 1U) != 0);
    note("amx_int8", (d >> 25U & 1U) != 0);
  }
  if (__get_cpuid_count(7, 1, &a, &b, &c, &d) != 0) note("avx512_bf16", (a >> 5U & 1U) != 0);
#endif
  return found;
}

}  // namespace ssiqa

// Which instruction set the kernels use, decided once.
#pragma once

#include <string>
#include <vector>

namespace ssiqa {

enum class Isa { baseline, avx2, avx512, amx };

const char* isa_name(Isa isa);

// What was compiled in and runs on this processor, slowest first.
std::vector<Isa> available_isas();

// The best available one, or the one named by SSIQA_CPU_ISA; throws std::runtime_error when that one cannot be used.
Isa active_isa();

// Names of the vector and matrix extensions found, for people and bug reports.
std::vector<std::string> cpu_features();

}  // namespace ssiqa

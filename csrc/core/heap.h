// What the C library does with memory that is freed.
#pragma once

namespace ssiqa {

// While set, freed blocks of up to 32 MB stay with the process and are handed out again, instead of going back to the
// system and being faulted in anew, page by page, for each layer of a network. Returns false where the C library is not
// glibc, which this is for, and changes nothing.
bool keep_freed_memory(bool keep);

}  // namespace ssiqa

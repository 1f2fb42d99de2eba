// What the C library does with memory that is freed.
#pragma once

namespace ssiqa {

// From the first call on, freed blocks of up to 32 MB stay with the process and are handed out again, instead of going
// back to the system and being faulted in anew, page by page, for each layer of a network. Calls are counted, and may come
// from any thread. Nothing but glibc knows how to do this: elsewhere it does nothing.
void keep_freed_memory();

// The last one for as many calls gives back what is free, and from then on what is freed beyond 64 MB: what glibc itself
// comes to where blocks of 32 MB are in use.
void release_freed_memory();

}  // namespace ssiqa

#pragma once
#include "base/time.h"

namespace weir {

/// CPU time that the calling thread has used. For what is bounded by work done and not by time passed, which on a shared core are far apart.
/// It decides nothing that must replay. Cost: a system call.
Duration thread_cpu_time();

}  // namespace weir

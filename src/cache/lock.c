#include "cache/lock.h"

#ifdef ZQ_DEBUG
_Thread_local unsigned zq_lock_ranks_held;
#endif

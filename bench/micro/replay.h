/* What the replay executables share: without arguments they list their operations, one a line;
 * with OPERATION N they do that one N times. They are counted by bench/micro.py. */
#ifndef ZQ_BENCH_REPLAY_H
#define ZQ_BENCH_REPLAY_H

#include "../must.h"

#include "zq/base.h"

struct replay {
    const char *name;
    void (*run)(unsigned long n); /* the set-up is done once, whatever `n` */
};

static inline int replay_main(int argc, char **argv, const struct replay *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (argc < 3)
            puts(list[i].name);
        else if (strcmp(argv[1], list[i].name) == 0) {
            list[i].run(strtoul(argv[2], NULL, 10));
            return 0;
        }
    }
    return argc < 3 ? 0 : 2;
}

#endif

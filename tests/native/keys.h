/* Keys of several kinds, easy ones and such as tests of bounds should meet. */
#ifndef HS_TESTS_KEYS_H
#define HS_TESTS_KEYS_H

#include "tap.h"

#include <math.h>

typedef enum { NORMAL,
               CLUSTERED,
               DUPLICATED,
               ZERO,
               HUGE_NORM,
               TINY_NORM,
               ADVERSARIAL,
               KINDS } kind_of_keys;
static const char *const kind_names[KINDS] = {"normal", "clustered", "duplicated", "zero", "huge-norm", "tiny-norm", "near-threshold"};

/* Key i of its kind. */
static inline void make_key(kind_of_keys kind, int i, int d, float *k) {
    for (int j = 0; j < d; j++) {
        switch (kind) {
        case CLUSTERED: k[j] = 2 * sinf((float)(i / 40 % 25 * 31 + j * 7)) + 0.2f * random_normal(); break;
        case DUPLICATED: k[j] = sinf((float)(i % 3 * 17 + j)); break;
        case ZERO: k[j] = 0; break;
        case HUGE_NORM: k[j] = random_normal() * (i % 50 == 0 ? 100 : 1); break;
        case TINY_NORM: k[j] = random_normal() * 1e-4f; break;
        case ADVERSARIAL: k[j] = j == 0 ? 3 : 0.01f * random_normal(); break; /* all logits alike */
        default: k[j] = random_normal();
        }
    }
}

#endif

#include "kv/coordinates.h"

#include "base/error.h"
#include "base/hs.h"

#include <math.h>
#include <stddef.h>

static int is_beyond(float x, float factor) {
    return !(fabsf(x) * factor <= HS_COORDINATE_LIMIT);
}

const float *hs_find_beyond(const float *rows, int stride, int n, int d, float factor) {
    for (int j = 0; j < n; j++, rows += stride) {
        int some = 0; /* first of all together, which compilers make vectors of */
        for (int i = 0; i < d; i++) some |= is_beyond(rows[i], factor);
        for (int i = 0; some && i < d; i++) {
            if (is_beyond(rows[i], factor)) return rows + i;
        }
    }
    return NULL;
}

int hs_check_rows(const char *what, const float *rows, int stride, int n, int d, float factor) {
    const float *beyond = hs_find_beyond(rows, stride, n, d, factor);
    return beyond ? hs_error_set(HS_ERR_ARGUMENT, what, (double)(*beyond * factor), (double)HS_COORDINATE_LIMIT) : HS_OK;
}

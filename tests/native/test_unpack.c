/* Unpacked keys and values against their references, bit by bit, and against the cache's own reading of a key. */
#include "base/hs.h"
#include "cache.h"
#include "kernels/rotate.h"
#include "kernels/unpack.h"
#include "keys.h"
#include "tap.h"

#include <math.h>
#include <string.h>

enum { KEYS = 64,
       STRIDE = 72 };

static void test_rows(int d) {
    static int8_t rows[KEYS * HS_MAX_HEAD_DIM];
    uint16_t scale[KEYS];
    static float a[HS_MAX_HEAD_DIM * STRIDE], b[HS_MAX_HEAD_DIM * STRIDE];
    for (int i = 0; i < KEYS * d; i++) rows[i] = (int8_t)(i % 5 == 0 ? -128 : (int)(random_bits() % 256) - 128);
    for (int j = 0; j < KEYS; j++) scale[j] = (uint16_t)(0x3c00 + random_bits() % 1024);
    int same = 1;
    for (int n = 0; n <= KEYS; n++) {
        memset(a, 1, sizeof a);
        memset(b, 1, sizeof b);
        hs_unpack_rows(rows, scale, n, d, a);
        hs_unpack_rows_scalar(rows, scale, n, d, b);
        same &= memcmp(a, b, sizeof a) == 0;
        hs_transpose_rows(rows, scale, n, d, a, STRIDE);
        hs_transpose_rows_scalar(rows, scale, n, d, b, STRIDE);
        for (int i = 0; i < d * STRIDE; i++) same &= a[i] == b[i];
    }
    ok(same, "rows of %d dims, as they are and transposed, up to %d", d, KEYS);
}

/* A transposed key is the rotation of what hs_kv_key() gives. */
static void test_keys(int d) {
    static float a[HS_MAX_HEAD_DIM * STRIDE], b[HS_MAX_HEAD_DIM * STRIDE];
    float key[HS_MAX_HEAD_DIM];
    cache c = new_cache(HUGE_NORM, HS_KV_Q8, d, KEYS, NULL);
    append(&c, KEYS, 7, 0);
    int same = 1;
    for (int first = 0; first <= KEYS; first += 4) {
        size_t at = (size_t)first * (size_t)d / 2;
        int groups = (KEYS - first) / 4;
        memset(a, 1, sizeof a);
        memset(b, 1, sizeof b);
        hs_transpose_keys(c.kv.k_high + at, c.kv.k_low + at, c.kv.k_scale + first, groups, d, a, STRIDE);
        hs_transpose_keys_scalar(c.kv.k_high + at, c.kv.k_low + at, c.kv.k_scale + first, groups, d, b, STRIDE);
        same &= memcmp(a, b, sizeof a) == 0;
    }
    ok(same, "keys of %d dims, from any four to the last", d);
    hs_transpose_keys(c.kv.k_high, c.kv.k_low, c.kv.k_scale, KEYS / 4, d, a, STRIDE);
    double off = 0;
    for (int j = 0; j < KEYS; j++) {
        hs_kv_key(&c.kv, j, key);
        double length = 0, error = 0;
        for (int i = 0; i < d; i++) length += (double)key[i] * (double)key[i];
        hs_rotate(key, d, key);
        for (int i = 0; i < d; i++) error = fmax(error, fabs((double)(a[i * STRIDE + j] - key[i])));
        off = fmax(off, error / sqrt(length));
    }
    ok(off < 1e-6, "keys of %d dims in their rotation (%.1e of their length)", d, off);
    free_cache(&c);
}

int main(void) {
    const int dims[] = {8, 64, 80, 96, 256};
    for (int i = 0; i < 5; i++) {
        test_rows(dims[i]);
        test_keys(dims[i]);
    }
    return done();
}

/* Partition trees through their exported functions against the products of all keys. */
#include "../../wasm/abi_partition.c"
#include "fuzz.h"

enum { MOST_KEYS = 400,
       QUERIES = 6 };

static float keys[MOST_KEYS * 4], product[MOST_KEYS], products[MOST_KEYS + 1];
static int order[MOST_KEYS], positions[MOST_KEYS + 1];

static int by_product(const void *a, const void *b) {
    int p = *(const int *)a, o = *(const int *)b;
    return product[p] > product[o] ? -1 : product[p] < product[o] ? 1
                                                                  : p - o;
}

static void multiply(const float *q, int n, int d) {
    for (int j = 0; j < n; j++) {
        double sum = 0;
        for (int i = 0; i < d; i++) sum += (double)q[i] * (double)keys[j * d + i];
        product[j] = (float)sum;
        order[j] = j;
    }
    qsort(order, (size_t)n, sizeof(int), by_product);
}

static void report(input *in, const hs_partition *tree, const float *q, int good, int n) {
    static char seen[MOST_KEYS];
    float b = take_byte(in) < 192 ? product[order[take_below(in, n)]] : take_float(in);
    int room = take_int(in, n), written = take_byte(in) % 4, all = 0;
    good &= !isnan(b) && room >= 0;
    if (room > MOST_KEYS) room = MOST_KEYS;
    int found = abi_partition_report(tree, q, b, written & 1 ? NULL : positions, written & 2 ? NULL : products, room);
    must(good || found == HS_ERR_ARGUMENT);
    for (int j = 0; j < n && good; j++) all += product[j] >= b;
    if (good) must(found == all && abi_partition_stats()->keys_reported == all);
    memset(seen, 0, sizeof seen);
    for (int i = 0; good && i < hs_min(room, all) && !(written & 1); i++) {
        must(positions[i] >= 0 && positions[i] < n && !seen[positions[i]]++ && product[positions[i]] >= b);
        if (!(written & 2)) must(products[i] == product[positions[i]]);
    }
}

static void top(input *in, hs_partition *tree, const float *q, int good, int n) {
    int r = take_int(in, n);
    good &= r >= 1 && r <= n;
    must(abi_partition_top(tree, q, r, positions, products) == (good ? r : HS_ERR_ARGUMENT));
    for (int j = 0; good && j < r; j++) must(positions[j] == order[j] && products[j] == product[order[j]]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input in = input_of(data, size);
    int shape = take_byte(&in), d = 1 + shape % 4, n = 1 + take_below(&in, MOST_KEYS), bad = shape >= 248, fails = shape >= 232 && !bad;
    take_rows(&in, keys, n, d);
    if (bad) keys[take_below(&in, n * d)] = bad_coordinate(&in);
    int asked_n = shape >= 224 && shape < 232 ? take_int(&in, n) : n, asked_d = shape >= 216 && shape < 224 ? take_int(&in, d) : d;
    if (asked_n > n || asked_d > d) asked_n = HS_PARTITION_LIMIT + 1; /* there are no such keys to read */
    fuzz_fail_after(fails ? 1 + (unsigned)take_below(&in, 2) : 0);
    hs_partition *tree = abi_partition_create(keys, asked_n, asked_d);
    must((tree != NULL) == (!bad && !fails && asked_n >= 1 && asked_n <= n && asked_d >= 1));
    fuzz_fail_after(0);
    for (int i = 0; tree && i < QUERIES && left(&in) > 0; i++) {
        float q[4];
        int good = 1;
        take_rows(&in, q, 1, asked_d);
        for (int changes = take_byte(&in) / 64; changes > 0; changes--) q[take_below(&in, asked_d)] = take_float(&in);
        for (int k = 0; k < asked_d; k++) good &= isfinite(q[k]) != 0;
        must(abi_partition_size(tree) == asked_n);
        /* The order of rows is by the dimension of the tree. */
        multiply(q, asked_n, asked_d);
        if (take_byte(&in) % 2)
            report(&in, tree, q, good, asked_n);
        else
            top(&in, tree, q, good, asked_n);
    }
    abi_partition_free(tree);
    must(hs_mem_used() == 0);
    return 0;
}

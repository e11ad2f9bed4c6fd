/* The exported functions of partition trees (hsr/partition.h, web/attention/partition-tree.js). Conventions as in abi.c. */
#include "abi.h"
#include "hsr/partition.h"

#include <stdint.h>

static hs_partition_stats stats;

/* f64 words of hs_partition_stats, of the last report or top. */
EXPORT(hs_partition_stats)
const hs_partition_stats *abi_partition_stats(void) {
    return &stats;
}

EXPORT(hs_partition_create)
hs_partition *abi_partition_create(const float *keys, int32_t n, int32_t dim) {
    return hs_partition_new(keys, n, dim);
}

EXPORT(hs_partition_free)
void abi_partition_free(hs_partition *partition) {
    hs_partition_free(partition);
}

EXPORT(hs_partition_size)
int32_t abi_partition_size(const hs_partition *partition) {
    return hs_partition_count(partition);
}

/* The number of keys with product >= b; up to `room` of them are written, none where the arrays are 0. */
EXPORT(hs_partition_report)
int32_t abi_partition_report(const hs_partition *partition, const float *q, float b, int32_t *positions, float *products, int32_t room) {
    return hs_partition_report(partition, q, b, positions, products, room, &stats);
}

EXPORT(hs_partition_top)
int32_t abi_partition_top(hs_partition *partition, const float *q, int32_t r, int32_t *positions, float *products) {
    return hs_partition_top(partition, q, r, positions, products, &stats);
}

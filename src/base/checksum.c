#include "base/checksum.h"

#include <string.h>

static const uint64_t P1 = 0x9E3779B185EBCA87u, P2 = 0xC2B2AE3D27D4EB4Fu, P3 = 0x165667B19E3779F9u, P4 = 0x85EBCA77C2B2AE63u, P5 = 0x27D4EB2F165667C5u;

/* Little-endian machines only, as everywhere here. */
static uint64_t read64(const uint8_t *p) {
    uint64_t x;
    memcpy(&x, p, sizeof x);
    return x;
}

static uint32_t read32(const uint8_t *p) {
    uint32_t x;
    memcpy(&x, p, sizeof x);
    return x;
}

static uint64_t turn(uint64_t x, int by) {
    return x << by | x >> (64 - by);
}

static uint64_t add_lane(uint64_t sum, uint64_t lane) {
    return turn(sum + lane * P2, 31) * P1;
}

static uint64_t merge(uint64_t hash, uint64_t lane) {
    return (hash ^ add_lane(0, lane)) * P1 + P4;
}

/* Stripes of 32 bytes, in four sums that do not wait for one another. */
static uint64_t stripes(const uint8_t *p, const uint8_t *end) {
    uint64_t a = P1 + P2, b = P2, c = 0, d = 0 - P1;
    for (; end - p >= 32; p += 32) {
        a = add_lane(a, read64(p));
        b = add_lane(b, read64(p + 8));
        c = add_lane(c, read64(p + 16));
        d = add_lane(d, read64(p + 24));
    }
    return merge(merge(merge(merge(turn(a, 1) + turn(b, 7) + turn(c, 12) + turn(d, 18), a), b), c), d);
}

uint64_t hs_checksum(const void *data, size_t bytes) {
    const uint8_t *p = data, *end = p + bytes;
    uint64_t hash = (bytes >= 32 ? stripes(p, end) : P5) + bytes;
    for (p += bytes & ~(size_t)31; end - p >= 8; p += 8) hash = turn(hash ^ add_lane(0, read64(p)), 27) * P1 + P4;
    if (end - p >= 4) {
        hash = turn(hash ^ read32(p) * P1, 23) * P2 + P3;
        p += 4;
    }
    for (; p < end; p++) hash = turn(hash ^ *p * P5, 11) * P1;
    hash = (hash ^ hash >> 33) * P2;
    hash = (hash ^ hash >> 29) * P3;
    return hash ^ hash >> 32;
}

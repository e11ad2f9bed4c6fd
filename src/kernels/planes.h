/*
 * Where keys lie in planes of nibbles (kv/kv.h): tiles of 4 keys x 4 dims, as weights have them in quant/tensor.h. Group g of
 * four keys has 2 * head_dim bytes; byte vector p of them (16 bytes) holds dims 8p..8p+3 in its low and 8p+4..8p+7 in its
 * high nibbles; byte 4i+c of it is key i, dim c.
 */
#ifndef HS_KERNELS_PLANES_H
#define HS_KERNELS_PLANES_H

#include <stddef.h>
#include <stdint.h>

/* The byte that has the nibble of a key, from 0, and dim. */
static inline size_t hs_plane_at(int head_dim, int key, int dim) {
    return (size_t)(key / 4) * 2 * (size_t)head_dim + (size_t)(dim / 8) * 16 + (size_t)(key % 4) * 4 + (size_t)(dim % 4);
}

/* The nibble of a key and dim in a plane, 0..15. */
static inline int hs_plane_nibble(const uint8_t *plane, int head_dim, int key, int dim) {
    int pair = plane[hs_plane_at(head_dim, key, dim)];
    return dim % 8 < 4 ? pair & 15 : pair >> 4;
}

#endif

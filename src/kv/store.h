/* How keys are written into the arrays of a cache, and what else the files of this folder share. */
#ifndef HS_KV_STORE_H
#define HS_KV_STORE_H

#include "kv/kv.h"

/* int8 codes of x [d], to out [d], and their scale: the largest magnitude / 127, rounded up to bf16. All zero for a zero row. */
uint16_t hs_quantize_row(const float *x, int d, int8_t *out);

/* Stores key k [head_dim] at own index i and raises the residual bounds of its run. */
void hs_put_key(hs_kv *kv, int i, const float *k);

/* The same for the code [head_dim] of a key and its scale, bf16; and the code of the key stored at own index i. */
void hs_put_key_code(hs_kv *kv, int i, const int8_t *code, uint16_t scale);
void hs_key_code(const hs_kv *kv, int i, int8_t *code);

/* Whether n is HS_CHUNK times a power of HS_CHUNK_GROWTH and not above `most`, which is one. */
int hs_is_chunk_size(int n, int most);

/* Keys whose bit in `live` is clear, counted anew where own keys were cut, copied or restored. */
int hs_count_removed(const hs_kv *kv);

#endif

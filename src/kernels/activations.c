#include "kernels/activations.h"

#include "kernels/even_odd.h"

static int lanes_of(int n_tokens) {
    return n_tokens == 1 ? 1 : 4;
}

static int groups_of(int n_tokens) {
    return (n_tokens + lanes_of(n_tokens) - 1) / lanes_of(n_tokens);
}

size_t hs_act_bytes(int cols, int n_tokens) {
    size_t filled_up = (size_t)groups_of(n_tokens) * (size_t)lanes_of(n_tokens);
    return (size_t)(cols / HS_BLOCK) * (filled_up * (HS_ACT_NUMBERS * sizeof(float) + 2 * HS_BLOCK) + (size_t)n_tokens * HS_BLOCK * sizeof(int16_t));
}

void hs_act_bind(hs_act *a, void *buffer, int cols, int n_tokens) {
    *a = (hs_act){.n_blocks = cols / HS_BLOCK, .n_tokens = n_tokens, .lanes = lanes_of(n_tokens), .groups = groups_of(n_tokens)};
    size_t blocks = (size_t)a->n_blocks * (size_t)a->groups * (size_t)a->lanes;
    a->numbers = buffer;
    a->split = (int8_t *)(a->numbers + blocks * HS_ACT_NUMBERS);
    a->q = (int16_t *)(void *)(a->split + blocks * 2 * HS_BLOCK);
}

int hs_act_value(const hs_act *a, int block, int token, int k) {
    return a->q[((size_t)block * (size_t)a->n_tokens + (size_t)token) * HS_BLOCK + (size_t)hs_even_odd_place(k)];
}

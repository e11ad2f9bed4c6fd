/* Kernels on f32 rows in SIMD; the algebra is in kernels/vector.h. */
#include "kernels/vector.h"

#include "simd.h"
#include "simd_exp.h"

#include <math.h>

void hs_rmsnorm(const float *x, const float *weight, int n, float eps, float *y) {
    v128_t squares = wasm_f32x4_splat(0);
    for (int i = 0; i < n; i += 4) {
        v128_t v = wasm_v128_load(x + i);
        squares = hs_fma(v, v, squares);
    }
    v128_t scale = wasm_f32x4_splat(1 / sqrtf(hs_sum_f32x4(squares) / (float)n + eps));
    for (int i = 0; i < n; i += 4) {
        v128_t scaled = wasm_f32x4_mul(wasm_v128_load(x + i), scale);
        wasm_v128_store(y + i, wasm_f32x4_mul(scaled, wasm_v128_load(weight + i)));
    }
}

void hs_add(float *x, const float *y, int n) {
    for (int i = 0; i < n; i += 4) wasm_v128_store(x + i, wasm_f32x4_add(wasm_v128_load(x + i), wasm_v128_load(y + i)));
}

/* x / (1 + exp(-z)): silu for z = x, and gelu's 0.5 x (1 + tanh(w)) for z = 2w. */
HS_INLINE v128_t times_sigmoid(v128_t x, v128_t z, const hs_exp_constants *c) {
    return wasm_f32x4_div(x, wasm_f32x4_add(c->one, hs_exp_f32x4(wasm_f32x4_neg(z), c)));
}

void hs_silu_mul(float *gate, const float *up, int n) {
    const hs_exp_constants c = hs_exp_keep();
    for (int i = 0; i < n; i += 4) {
        v128_t x = wasm_v128_load(gate + i);
        wasm_v128_store(gate + i, wasm_f32x4_mul(times_sigmoid(x, x, &c), wasm_v128_load(up + i)));
    }
}

void hs_gelu_mul(float *gate, const float *up, int n) {
    const hs_exp_constants c = hs_exp_keep();
    const v128_t linear = wasm_f32x4_splat(1.59576912f), cubic = wasm_f32x4_splat(0.044715f * 1.59576912f);
    for (int i = 0; i < n; i += 4) {
        v128_t x = wasm_v128_load(gate + i);
        v128_t z = wasm_f32x4_mul(x, hs_fma(wasm_f32x4_mul(x, x), cubic, linear));
        wasm_v128_store(gate + i, wasm_f32x4_mul(times_sigmoid(x, z, &c), wasm_v128_load(up + i)));
    }
}

void hs_rope_interleaved(float *head, const float *cs, int n_pairs) {
    const v128_t sign = wasm_f32x4_make(-1, 1, -1, 1);
    for (int i = 0; i < 2 * n_pairs; i += 4) {
        v128_t x = wasm_v128_load(head + i), turn = wasm_v128_load(cs + i);
        v128_t cosine = wasm_i32x4_shuffle(turn, turn, 0, 0, 2, 2), sine = wasm_i32x4_shuffle(turn, turn, 1, 1, 3, 3);
        v128_t swapped = wasm_f32x4_mul(wasm_i32x4_shuffle(x, x, 1, 0, 3, 2), sign);
        wasm_v128_store(head + i, wasm_f32x4_add(wasm_f32x4_mul(x, cosine), wasm_f32x4_mul(swapped, sine)));
    }
}

void hs_rope_halves(float *head, const float *cs, int n_pairs) {
    for (int i = 0; i < n_pairs; i += 4) {
        v128_t x = wasm_v128_load(head + i), y = wasm_v128_load(head + n_pairs + i);
        v128_t t0 = wasm_v128_load(cs + 2 * i), t1 = wasm_v128_load(cs + 2 * i + 4);
        v128_t cosine = wasm_i32x4_shuffle(t0, t1, 0, 2, 4, 6), sine = wasm_i32x4_shuffle(t0, t1, 1, 3, 5, 7);
        wasm_v128_store(head + i, wasm_f32x4_sub(wasm_f32x4_mul(x, cosine), wasm_f32x4_mul(y, sine)));
        wasm_v128_store(head + n_pairs + i, wasm_f32x4_add(wasm_f32x4_mul(x, sine), wasm_f32x4_mul(y, cosine)));
    }
}

/* tanh(w) = 2 / (1 + exp(-2w)) - 1 */
void hs_softcap(float *x, int n, float cap) {
    const hs_exp_constants c = hs_exp_keep();
    const v128_t inverse = wasm_f32x4_splat(2 / cap), twice = wasm_f32x4_splat(2 * cap), once = wasm_f32x4_splat(cap);
    for (int i = 0; i < n; i += 4) {
        v128_t z = wasm_f32x4_mul(wasm_v128_load(x + i), inverse);
        wasm_v128_store(x + i, wasm_f32x4_sub(times_sigmoid(twice, z, &c), once));
    }
}

float hs_max_f32(const float *x, int n) {
    float largest = x[0];
    int i = 0;
    if (n >= 4) {
        v128_t four = wasm_v128_load(x);
        for (i = 4; i + 4 <= n; i += 4) four = wasm_f32x4_pmax(four, wasm_v128_load(x + i));
        for (int lane = 0; lane < 4; lane++) {
            float lanes[4];
            wasm_v128_store(lanes, four);
            if (lanes[lane] > largest) largest = lanes[lane];
        }
    }
    for (; i < n; i++) {
        if (x[i] > largest) largest = x[i];
    }
    return largest;
}

float hs_sum_f32(const float *x, int n) {
    v128_t sum = wasm_f32x4_splat(0);
    int i = 0;
    for (; i + 4 <= n; i += 4) sum = wasm_f32x4_add(sum, wasm_v128_load(x + i));
    float total = hs_sum_f32x4(sum);
    for (; i < n; i++) total += x[i];
    return total;
}

float hs_exp_sum(float *x, int n, float shift) {
    const hs_exp_constants constants = hs_exp_keep();
    v128_t sum = wasm_f32x4_splat(0), down = wasm_f32x4_splat(shift);
    int i = 0;
    for (; i + 4 <= n; i += 4) {
        v128_t e = hs_exp_f32x4(wasm_f32x4_sub(wasm_v128_load(x + i), down), &constants);
        wasm_v128_store(x + i, e);
        sum = wasm_f32x4_add(sum, e);
    }
    float total = hs_sum_f32x4(sum);
    for (; i < n; i++) total += x[i] = wasm_f32x4_extract_lane(hs_exp_f32x4(wasm_f32x4_splat(x[i] - shift), &constants), 0);
    return total;
}

float hs_dot_f32(const float *a, const float *b, int d) {
    v128_t sum = wasm_f32x4_splat(0);
    for (int i = 0; i < d; i += 4) sum = hs_fma(wasm_v128_load(a + i), wasm_v128_load(b + i), sum);
    return hs_sum_f32x4(sum);
}

void hs_axpy_f32(float *y, float a, const float *x, int d) {
    v128_t factor = wasm_f32x4_splat(a);
    for (int i = 0; i < d; i += 4) wasm_v128_store(y + i, hs_fma(factor, wasm_v128_load(x + i), wasm_v128_load(y + i)));
}

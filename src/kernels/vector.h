/* f32 rows of n numbers: element-wise steps of the forward pass, sums and products. n is a multiple of 4 unless said. */
#ifndef HS_KERNELS_VECTOR_H
#define HS_KERNELS_VECTOR_H

/* RMSNorm: y = x / sqrt(mean(x^2) + eps) * weight. x and y may be the same. */
void hs_rmsnorm(const float *x, const float *weight, int n, float eps, float *y);
void hs_rmsnorm_scalar(const float *x, const float *weight, int n, float eps, float *y);

/* x += y */
void hs_add(float *x, const float *y, int n);
void hs_add_scalar(float *x, const float *y, int n);

/* SwiGLU: gate = silu(gate) * up, silu(x) = x / (1 + exp(-x)). Relative error below 4e-7 where |gate| < 80. */
void hs_silu_mul(float *gate, const float *up, int n);
void hs_silu_mul_scalar(float *gate, const float *up, int n);

/* GeGLU: gate = gelu(gate) * up with the tanh form 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))). */
void hs_gelu_mul(float *gate, const float *up, int n);
void hs_gelu_mul_scalar(float *gate, const float *up, int n);

/*
 * Rotary embedding of the first 2*n_pairs values of one head (RoFormer, arXiv 2104.09864): pair i turns by the angle
 * with cosine cs[2i] and sine cs[2i+1]. Interleaved pairs are (2i, 2i+1), halves ("neox") are (i, i + n_pairs).
 * n_pairs is a multiple of 4.
 */
void hs_rope_interleaved(float *head, const float *cs, int n_pairs);
void hs_rope_interleaved_scalar(float *head, const float *cs, int n_pairs);
void hs_rope_halves(float *head, const float *cs, int n_pairs);
void hs_rope_halves_scalar(float *head, const float *cs, int n_pairs);

/* x = cap * tanh(x / cap) */
void hs_softcap(float *x, int n, float cap);
void hs_softcap_scalar(float *x, int n, float cap);

/* Largest of x [n]; n is any number from 1 on. */
float hs_max_f32(const float *x, int n);
float hs_max_f32_scalar(const float *x, int n);

/* Sum of x [n]; n is any number. */
float hs_sum_f32(const float *x, int n);
float hs_sum_f32_scalar(const float *x, int n);

/* x [n] = exp(x - shift) in place, 2 ULP; returns the sum. n is any number. */
float hs_exp_sum(float *x, int n, float shift);
float hs_exp_sum_scalar(float *x, int n, float shift);

/* Inner product of a and b, and y += a * x; d floats, a multiple of 4. */
float hs_dot_f32(const float *a, const float *b, int d);
float hs_dot_f32_scalar(const float *a, const float *b, int d);
void hs_axpy_f32(float *y, float a, const float *x, int d);
void hs_axpy_f32_scalar(float *y, float a, const float *x, int d);

#endif

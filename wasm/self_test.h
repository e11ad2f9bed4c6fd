/* Numeric check at load: engines exist that accept relaxed SIMD and compute it wrongly (Node 20 behind its flag). */
#ifndef HS_WASM_SELF_TEST_H
#define HS_WASM_SELF_TEST_H

/* Compares SIMD kernels with their scalar references on fixed inputs: 0, or the 1-based number of the first mismatch. */
int hs_self_test(void);

#endif

/* How a function becomes callable from JavaScript. Conventions: abi.c. */
#ifndef HS_WASM_ABI_H
#define HS_WASM_ABI_H

/* Natively, for tests, functions are called by their own names. */
#ifdef __wasm__
#define EXPORT(name) __attribute__((export_name(#name), used))
#else
#define EXPORT(name)
#endif

#endif

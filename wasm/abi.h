/* How a function becomes callable from JavaScript. Conventions: abi.c. */
#ifndef HS_WASM_ABI_H
#define HS_WASM_ABI_H

#define EXPORT(name) __attribute__((export_name(#name), used))

#endif

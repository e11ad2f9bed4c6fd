/** What caches store keys and values as, by their numbers in the core (HS_KV_Q8, HS_KV_F32 of src/kv/kv.h). */
export const KV_TYPES = { q8: 0, f32: 1 };

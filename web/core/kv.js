/** Constants of caches, as in src/kv/kv.h. */

/** What keys and values are stored as, by their numbers: HS_KV_Q8, HS_KV_F32. */
export const KV_TYPES = { q8: 0, f32: 1 };

/** What max_chunk may be: keys that are sorted together at most. */
export const CHUNKS = [128, 1024, 8192, 65_536];

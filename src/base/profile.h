/*
 * Where a token's time goes. In builds with -DHS_PROFILE (wasm/profile.c, for benches alone, one thread) HS_LAP(phase) gives the
 * time since the last lap to a phase; in all others it is nothing. Phases of attention lie inside of hs_forward()'s own.
 */
#ifndef HS_BASE_PROFILE_H
#define HS_BASE_PROFILE_H

/* The same order as the names in wasm/profile.c. */
typedef enum {
    HS_PHASE_OUTSIDE, /* between two calls */
    HS_PHASE_EMBED,
    HS_PHASE_NORM, /* norms, additions and quantising */
    HS_PHASE_QKV,
    HS_PHASE_APPEND, /* rotation of keys and queries, new rows of the caches */
    HS_PHASE_EXACT,  /* attention to keys that are all evaluated: dense, or outside of leaves */
    HS_PHASE_LEAVES, /* hsr: scores of leaves, and which to open */
    HS_PHASE_SCREEN, /* hsr: 4-bit logits of opened leaves' keys, thresholds */
    HS_PHASE_REPORT, /* hsr: selected keys exactly, and their values */
    HS_PHASE_FAR,    /* hsr: far field */
    HS_PHASE_OUTPUT, /* attention's output matrix */
    HS_PHASE_GATE_UP,
    HS_PHASE_ACTIVATE,
    HS_PHASE_DOWN,
    HS_PHASE_SEAL, /* sorting keys into leaves */
    HS_PHASE_HEAD, /* logits */
    HS_PHASES,
} hs_phase;

#ifdef HS_PROFILE
void hs_profile_lap(hs_phase phase);
#define HS_LAP(phase) hs_profile_lap(phase)
#else
#define HS_LAP(phase) ((void)0)
#endif

#endif

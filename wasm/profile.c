/* Times of phases (base/profile.h), by a clock that JavaScript brings. */
#ifdef HS_PROFILE

#include "abi.h"
#include "base/profile.h"

#include <stdint.h>

__attribute__((import_module("env"), import_name("now"))) double env_now(void);

static const char *const names[HS_PHASES] = {"outside", "embedding", "norm, add, quantise", "q, k, v", "rope, append", "attention: exact", "attention: leaves", "attention: screen", "attention: report", "attention: far field", "attention output", "gate, up", "activation", "down", "seal", "logits"};
static double ms[HS_PHASES], last;

void hs_profile_lap(hs_phase phase) {
    double now = env_now();
    ms[phase] += now - last;
    last = now;
}

/* NUL-terminated; 0 after the last phase. */
EXPORT(hs_profile_name)
const char *profile_name(int32_t phase) {
    return phase < HS_PHASES ? names[phase] : 0;
}

/* f64 milliseconds of each phase since the last reset. */
EXPORT(hs_profile_ms)
const double *profile_ms(void) {
    return ms;
}

EXPORT(hs_profile_reset)
void profile_reset(void) {
    for (int i = 0; i < HS_PHASES; i++) ms[i] = 0;
    last = env_now();
}

#endif

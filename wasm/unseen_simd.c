/* A zero that no compiler sees through: simd.h says what for. */
#include "simd.h"

const int32_t hs_unseen_zero = 0;

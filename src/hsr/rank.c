#include "hsr/rank.h"

#include <string.h>

/* Stable counting sort on eight bits. */
static void sort_byte(const hs_ranked *from, hs_ranked *to, int n, const int *counts, int shift) {
    int start[256], sum = 0;
    for (int digit = 0; digit < 256; digit++) {
        start[digit] = sum;
        sum += counts[digit];
    }
    for (int i = 0; i < n; i++) to[start[from[i] >> shift & 255]++] = from[i];
}

void hs_rank_sort(hs_ranked *pairs, hs_ranked *spare, int n) {
    int counts[8][256] = {0};
    hs_ranked *from = pairs, *to = spare;
    for (int i = 0; i < n; i++) {
        for (int byte = 0; byte < 8; byte++) counts[byte][pairs[i] >> 8 * byte & 255]++;
    }
    for (int byte = 0; byte < 8 && n > 0; byte++) {
        if (counts[byte][from[0] >> 8 * byte & 255] == n) continue; /* the same in all */
        sort_byte(from, to, n, counts[byte], 8 * byte);
        hs_ranked *other = from;
        from = to;
        to = other;
    }
    if (from != pairs) memcpy(pairs, from, (size_t)n * sizeof *pairs);
}

float hs_rth_largest(const float *x, int n, int r) {
    /* The answer's bits from the top, eight at a time; r counts among those that share the bits found so far. */
    uint32_t answer = 0, found = 0;
    for (int shift = 24; shift >= 0; shift -= 8) {
        int counts[256] = {0}, digit = 255;
        for (int i = 0; i < n; i++) {
            uint32_t bits = hs_rising_bits(x[i]);
            if ((bits & found) == answer) counts[bits >> shift & 255]++;
        }
        for (; counts[digit] < r; digit--) r -= counts[digit];
        answer |= (uint32_t)digit << shift;
        found |= 255u << shift;
    }
    return hs_from_rising_bits(answer);
}

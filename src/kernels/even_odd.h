/* The order of 16-bit operands that meet bytes: a vector of bytes is widened as its even bytes, then its odd ones. */
#ifndef HS_KERNELS_EVEN_ODD_H
#define HS_KERNELS_EVEN_ODD_H

/* Place of element i: each four are stored as 0, 2, 1, 3. */
static inline int hs_even_odd_place(int i) {
    static const int place[4] = {0, 2, 1, 3};
    return (i & ~3) + place[i & 3];
}

#endif

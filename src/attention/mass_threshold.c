#include "attention/mass_threshold.h"

#include <math.h>

static float median_of_three(float a, float b, float c) {
    float low = a < b ? a : b, high = a < b ? b : a;
    return c < low ? low : c > high ? high
                                    : c;
}

static void swap(float *a, float *b) {
    float t = *a;
    *a = *b;
    *b = t;
}

/* Reorders x[low..high-1] into values above, equal to, and below a pivot; the equal ones are at first..end-1. */
static void partition(float *x, int low, int high, int *first, int *end) {
    float pivot = median_of_three(x[low], x[low + (high - low) / 2], x[high - 1]);
    int above = low, i = low, below = high;
    while (i < below) {
        if (x[i] > pivot)
            swap(&x[i++], &x[above++]);
        else if (x[i] < pivot)
            swap(&x[i], &x[--below]);
        else
            i++;
    }
    *first = above;
    *end = below;
}

static double sum(const float *x, int first, int end) {
    double total = 0;
    for (int i = first; i < end; i++) total += (double)x[i];
    return total;
}

float hs_mass_threshold(float *w, int n, double mass) {
    int low = 0, high = n, first, end;
    if (!(mass > 0)) return INFINITY;
    while (low < high) {
        partition(w, low, high, &first, &end);
        double above = sum(w, low, first), equal = sum(w, first, end);
        if (above >= mass) {
            high = first;
        } else if (above + equal >= mass) {
            return w[first];
        } else {
            mass -= above + equal;
            low = end;
        }
    }
    return 0;
}

#include "hsr/select.h"

static void swap(float *projection, int *order, int a, int b) {
    float moved = projection[a];
    projection[a] = projection[b];
    projection[b] = moved;
    int key = order[a];
    order[a] = order[b];
    order[b] = key;
}

static int less(float projection_a, int key_a, float projection_b, int key_b) {
    return projection_a < projection_b || (projection_a == projection_b && key_a < key_b);
}

static void swap_if_less(float *projection, int *order, int a, int b) {
    if (less(projection[a], order[a], projection[b], order[b])) swap(projection, order, a, b);
}

/* Quickselect, median of three. */
void hs_select_smallest(float *projection, int *order, int n, int count) {
    int low = 0, high = n - 1;
    while (low < high) {
        int middle = low + (high - low) / 2;
        swap_if_less(projection, order, middle, low);
        swap_if_less(projection, order, high, low);
        swap_if_less(projection, order, high, middle);
        float pivot = projection[middle];
        int key = order[middle], i = low, j = high;
        while (i <= j) {
            while (less(projection[i], order[i], pivot, key)) i++;
            while (less(pivot, key, projection[j], order[j])) j--;
            if (i <= j) swap(projection, order, i++, j--);
        }
        if (count <= j)
            high = j;
        else if (count >= i)
            low = i;
        else
            return;
    }
}

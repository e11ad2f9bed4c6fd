#include "hsr/heap.h"

/* Whether entry a ranks after b. */
static int after(float value_a, int number_a, float value_b, int number_b) {
    return value_a < value_b || (value_a == value_b && number_a > number_b);
}

static void move(hs_heap *h, int to, int from) {
    h->values[to] = h->values[from];
    h->numbers[to] = h->numbers[from];
}

static void set(hs_heap *h, int at, float value, int number) {
    h->values[at] = value;
    h->numbers[at] = number;
}

void hs_heap_push(hs_heap *h, float value, int number) {
    int at = h->held++;
    while (at > 0) {
        int parent = (at - 1) / 2;
        if (!after(value, number, h->values[parent], h->numbers[parent])) break;
        move(h, at, parent);
        at = parent;
    }
    set(h, at, value, number);
}

void hs_heap_replace(hs_heap *h, float value, int number) {
    int at = 0;
    for (int child = 1; child < h->held; child = 2 * at + 1) {
        int other = child + 1;
        if (other < h->held && after(h->values[other], h->numbers[other], h->values[child], h->numbers[child])) child = other;
        if (!after(h->values[child], h->numbers[child], value, number)) break;
        move(h, at, child);
        at = child;
    }
    set(h, at, value, number);
}

void hs_heap_pop(hs_heap *h) {
    int last = --h->held;
    hs_heap_replace(h, h->values[last], h->numbers[last]);
}

int hs_heap_beats_root(const hs_heap *h, float value, int number) {
    return after(h->values[0], h->numbers[0], value, number);
}

void hs_heap_sort(hs_heap *h) {
    int held = h->held;
    while (h->held > 1) {
        float value = h->values[0];
        int number = h->numbers[0];
        hs_heap_pop(h);
        set(h, h->held, value, number);
    }
    h->held = held;
}

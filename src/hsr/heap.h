/* A binary heap of numbered values whose root is the last in rank: the largest value ranks first, of equal ones the smallest number. */
#ifndef HS_HSR_HEAP_H
#define HS_HSR_HEAP_H

typedef struct {
    float *values; /* the caller's arrays, with room for all that is put in */
    int *numbers;
    int held;
} hs_heap;

/* Adds a value with its number; the caller has checked the room. */
void hs_heap_push(hs_heap *heap, float value, int number);

/* Puts a value and its number in the place of the root. */
void hs_heap_replace(hs_heap *heap, float value, int number);

/* Takes the root out. The heap must not be empty. */
void hs_heap_pop(hs_heap *heap);

/* Whether (value, number) ranks before the root. */
int hs_heap_beats_root(const hs_heap *heap, float value, int number);

/* Leaves the arrays in rank order; they are no heap any more. */
void hs_heap_sort(hs_heap *heap);

#endif

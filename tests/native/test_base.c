/* Texts of errors, numbers of 16 bits, and checksums: at the ends of what they take. */
#include "base/checksum.h"
#include "base/error.h"
#include "base/f16.h"
#include "base/hs.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "tap.h"

#include <math.h>
#include <string.h>

static int said(double value, double limit, const char *want) {
    return hs_error_set(HS_ERR_ARGUMENT, "x", value, limit) == HS_ERR_ARGUMENT && strcmp(hs_error_last(), want) == 0;
}

static void test_errors(void) {
    ok(said(0, 10, "x: 0 (limit 10)") && said(-7, 1234567890123, "x: -7 (limit 1234567890123)"), "whole numbers");
    ok(said(0.5, 0.0625, "x: 0.500 (limit 0.063)") && said(-2.25, 100.001, "x: -2.250 (limit 100.001)"), "three digits of a fraction");
    ok(said(0.0001, 2.9999, "x: 0 (limit 2)"), "a fraction that rounds to nothing, or to one");
    ok(said(NAN, INFINITY, "x: out of range (limit out of range)") && said(-INFINITY, 9e15, "x: -out of range (limit out of range)"), "what is no number, or too large");
    ok(isnan(hs_error_value()) == 0 && hs_error_value() == -INFINITY && hs_error_limit() == 9e15, "the value and the limit, as they were");
    char longest[300];
    memset(longest, 'a', sizeof longest);
    longest[299] = 0;
    ok(hs_error_text(HS_ERR_STATE, longest) == HS_ERR_STATE && strlen(hs_error_last()) == 255 && isnan(hs_error_value()) && isnan(hs_error_limit()), "a text that is too long is cut, and has no numbers");
}

static void test_halves(void) {
    int wrong = 0;
    for (unsigned bits = 0; bits < 65536; bits++) {
        float x = hs_f16_to_f32((uint16_t)bits);
        int exponent = bits >> 10 & 31, fraction = bits & 1023;
        double want = exponent == 31 ? (fraction ? NAN : INFINITY) : ldexp(exponent ? 1024 + fraction : fraction, (exponent ? exponent : 1) - 25);
        if (bits >> 15) want = -want;
        wrong += isnan(want) ? !isnan(x) || !isnan(hs_f16_to_f32(hs_f32_to_f16(x))) : (double)x != want || hs_f32_to_f16(x) != bits;
    }
    ok(wrong == 0, "every f16 number, there and back");
    ok(hs_f32_to_f16(65519) == 0x7bff && hs_f32_to_f16(65520) == 0x7c00 && hs_f32_to_f16(-1e30f) == 0xfc00 && hs_f32_to_f16(1e-30f) == 0, "what is too large is infinite, what is too small is zero");
}

/* By the Python binding of xxHash: lengths with and without stripes of 32, words of 8 and of 4, and single bytes. */
static void test_checksums(void) {
    const char *text = "No bytes make the core read out of bounds, whatever they are.";
    const struct {
        size_t bytes;
        uint64_t want;
    } known[] = {{8, 0xea6a1a7d0c706b3e}, {12, 0x6f7edbc2f24bc113}, {29, 0xdf7a58b050542b63}, {60, 0xda2e92a04e5f8ba8}};
    for (int i = 0; i < 4; i++) ok(hs_checksum(text, known[i].bytes) == known[i].want, "checksum of %zu bytes", known[i].bytes);
}

static void count_task(void *ctx, int task, int thread) {
    *(int *)ctx += thread == 0 ? 1 << task : 1000;
}

int main(void) {
    int tasks = 0;
    test_errors();
    test_halves();
    test_checksums();
    hs_parallel_for(5, count_task, &tasks);
    ok(tasks == 31 && hs_parallel_threads() == 1, "without threads every task runs once, on the first");
    hs_mem_free(NULL);
    ok(hs_mem_used() == 0, "nothing is freed as well");
    return done();
}

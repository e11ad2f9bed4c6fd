#include "base/error.h"

#include <math.h>
#include <stdint.h>

enum { TEXT_LIMIT = 256 };
static char text[TEXT_LIMIT];
static double wrong = NAN, bound = NAN;
static int last;

static int put_text(int at, const char *s) {
    while (*s && at < TEXT_LIMIT - 1) text[at++] = *s++;
    text[at] = 0;
    return at;
}

/* Decimal with up to three fractional digits: sizes, counts and shares need no more, and printf would pull in WASI. */
static int put_number(int at, double x) {
    char digits[24];
    int n = 0;
    if (x < 0) {
        at = put_text(at, "-");
        x = -x;
    }
    if (!(x < 9e15)) return put_text(at, "out of range");
    uint64_t whole = (uint64_t)x;
    uint64_t milli = (uint64_t)((x - (double)whole) * 1000 + 0.5);
    do digits[n++] = (char)('0' + whole % 10);
    while ((whole /= 10) != 0);
    for (int i = n - 1; i >= 0; i--) {
        char one[2] = {digits[i], 0};
        at = put_text(at, one);
    }
    if (milli > 0 && milli < 1000) {
        char fraction[5] = {'.', (char)('0' + milli / 100), (char)('0' + milli / 10 % 10), (char)('0' + milli % 10), 0};
        at = put_text(at, fraction);
    }
    return at;
}

void hs_error_note(int code, const char *what, double value, double limit) {
    int at = put_text(0, what);
    at = put_text(at, ": ");
    at = put_number(at, value);
    at = put_text(at, " (limit ");
    at = put_number(at, limit);
    put_text(at, ")");
    wrong = value;
    bound = limit;
    last = code;
}

void hs_error_note_text(int code, const char *what) {
    put_text(0, what);
    wrong = bound = NAN;
    last = code;
}

const char *hs_error_last(void) {
    return text;
}

int hs_error_code(void) {
    return last;
}

double hs_error_value(void) {
    return wrong;
}

double hs_error_limit(void) {
    return bound;
}

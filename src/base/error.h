/* The text of the last failure, for the caller's error message. */
#ifndef HS_BASE_ERROR_H
#define HS_BASE_ERROR_H

/* Stores "what: value (limit limit)". */
void hs_error_note(const char *what, double value, double limit);

/* Stores `what` alone. */
void hs_error_note_text(const char *what);

/* The same, returning `code`, so that a check reads `return hs_error_set(...)`; here, so that compilers and analysers see it. */
static inline int hs_error_set(int code, const char *what, double value, double limit) {
    hs_error_note(what, value, limit);
    return code;
}

static inline int hs_error_text(int code, const char *what) {
    hs_error_note_text(what);
    return code;
}

/* NUL-terminated ASCII, "" when nothing failed yet; valid until the next failure. */
const char *hs_error_last(void);

/* The value and the limit of the last failure; NaN when it has none. */
double hs_error_value(void);
double hs_error_limit(void);

#endif

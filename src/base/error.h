/* The last failure, for the caller's error: its code, a text, the value that was wrong and its limit. */
#ifndef HS_BASE_ERROR_H
#define HS_BASE_ERROR_H

/* Stores a code and "what: value (limit limit)": `what` was wrong, in ASCII; its value; what is allowed. */
void hs_error_note(int code, const char *what, double value, double limit);

/* Stores a code and `what` alone. */
void hs_error_note_text(int code, const char *what);

/* hs_error_note(code, what, value, limit), returning `code`, so that a check reads `return hs_error_set(...)`; here, so that compilers and analysers see it. */
static inline int hs_error_set(int code, const char *what, double value, double limit) {
    hs_error_note(code, what, value, limit);
    return code;
}

/* hs_error_note_text(code, what), returning `code`. */
static inline int hs_error_text(int code, const char *what) {
    hs_error_note_text(code, what);
    return code;
}

/* NUL-terminated ASCII, "" when nothing failed yet; valid until the next failure. */
const char *hs_error_last(void);

/* The code of the last failure; HS_OK when nothing failed yet. */
int hs_error_code(void);

/* The value and the limit of the last failure; NaN when it has none. */
double hs_error_value(void);
double hs_error_limit(void);

#endif

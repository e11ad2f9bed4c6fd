/*
 * A weight matrix in the layout the dot kernels want.
 *
 * Quantised weights are repacked at load into tiles of 4 rows x 32 columns, tiles of a row group in column order:
 *     f16 d[4], f16 m[4]          weight = row_scale[row] * (d * u + m); Q6 has a second d, m pair for columns 16..31
 *     64 bytes                    low nibbles of u; Q8: 128 bytes, u as it is, vector v at 16v
 *     Q5: 16 bytes, Q6: 32 bytes  the bits above them
 * A weight vector is 16 bytes = 4 rows x 4 columns, so that a dot with 4 activations broadcast to every row leaves one
 * row per 32-bit lane: the matrix-vector product needs no horizontal sums. Vector v (0..7) covers columns 4v..4v+3;
 * byte 4r+c of it is row r, column 4v+c. Nibble byte vector p holds vector 2p in its low and 2p+1 in its high nibbles.
 * Q5: bit v of byte i is bit 4 of u in vector v. Q6: bits 2j, 2j+1 of byte i of plane p are bits 4, 5 in vector 4p+j.
 *
 * Float weights (F32, F16, BF16) stay row-major in their own type.
 */
#ifndef HS_QUANT_TENSOR_H
#define HS_QUANT_TENSOR_H

#include <stdint.h>

typedef enum { HS_PACK_NONE,
               HS_PACK_Q4,
               HS_PACK_Q5,
               HS_PACK_Q6,
               HS_PACK_Q8,
               HS_PACK_F32,
               HS_PACK_F16,
               HS_PACK_BF16 } hs_pack;

typedef struct {
    hs_pack pack;     /* HS_PACK_NONE: the tensor is absent */
    int ggml_type;    /* type in the file */
    int rows, cols;   /* a vector has rows = 1 */
    int rows_loaded;  /* rows received so far, in order */
    uint8_t *data;    /* tiles, or row-major floats */
    float *row_scale; /* [rows rounded up to 4]; tiles only */
} hs_tensor;

/* Whether rows are row-major floats, not tiles. */
static inline int hs_pack_is_float(hs_pack pack) {
    return pack >= HS_PACK_F32;
}

/* Bytes of one 4x32 tile. */
static inline int hs_pack_tile_bytes(hs_pack pack) {
    switch (pack) {
    case HS_PACK_Q4: return 80;
    case HS_PACK_Q5: return 96;
    case HS_PACK_Q6: return 128;
    case HS_PACK_Q8: return 144;
    default: return 0;
    }
}

/* Allocates an empty tensor of rows x cols weights. Errors: unsupported type, cols not whole blocks (32 for tiles, 4 for floats), memory. */
int hs_tensor_init(hs_tensor *t, int ggml_type, int rows, int cols);

/*
 * Takes the next n rows as the file stores them, row0 being the number taken so far. row0 is a multiple of 4, and so is n
 * unless these are the last rows. Error: rows out of order or beyond the end.
 */
int hs_tensor_put_rows(hs_tensor *t, int row0, int n, const uint8_t *rows);

/* Writes row `row` to out, f32[cols]. */
void hs_tensor_row(const hs_tensor *t, int row, float *out);

/* For scalar references: u of row r (0..3), column k (0..31) of a tile, and its d and m before row_scale. */
int hs_tile_value(hs_pack pack, const uint8_t *tile, int r, int k);
float hs_tile_scale(hs_pack pack, const uint8_t *tile, int r, int k, float *m);

/* Gives the memory back; the tensor is absent then. */
void hs_tensor_free(hs_tensor *t);

#endif

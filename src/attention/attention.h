/*
 * Attention of the query heads that share a KV head, over one cache and its parents.
 *
 * dense: softmax over every key, exactly (as stored).
 * relu: ReLU^alpha, the paper's first form (arXiv 2410.10165): weight = max(0, logit - b)^alpha, normalised by the sum of
 *   weights; no error, as the index reports every key that has a weight (relu.c, hsr/hits.h).
 * hsr: softmax attention by half-space reporting, the paper's second form, of one of three strengths:
 *   exact      the keys of the r largest logits, or the fewest that hold the share top_p of the mass (certified.c)
 *   certified  as many keys as a bound on the output error needs, the bound always holding; or r, or top_p, with the bound
 *   fast       thresholds on estimated shares; sub-linear where leaves are close; with an estimated error (fast.c)
 * fast: 1. The sink and the window are exact.
 *   2. A leaf is opened when the share of the softmax mass that it may hold reaches leaf_theta, by its centroid's logit and
 *      the deviation of logits inside it (fast.h). Where that is so for most leaves dense attention is cheaper, and is used.
 *   3. The keys of opened leaves are screened at 4 bits; a key is reported, i.e. evaluated exactly, when its estimated
 *      share reaches theta (a half-space <q,k> >= b with b = log-sum-exp + ln theta, so at most 1/theta keys per query), or
 *      when it is among the r largest estimates, or among those that hold the share top_p of the estimated mass.
 *   4. What is not reported is not dropped (the far field): a key whose estimated share reaches value_theta gives its own
 *      value its estimated weight; of the others of a leaf the sum of the estimated weights, or for a closed leaf
 *      count * exp(centroid logit + variance / 2), goes to their mean value.
 */
#ifndef HS_ATTENTION_ATTENTION_H
#define HS_ATTENTION_ATTENTION_H

#include "kv/kv.h"

typedef enum { HS_ATTENTION_DENSE = 0,
               HS_ATTENTION_HSR = 1,
               HS_ATTENTION_RELU = 2 } hs_attention_mode;

typedef enum { HS_FAST = 0,
               HS_CERTIFIED = 1,
               HS_EXACT = 2 } hs_strength;

/* Second order: a closed leaf's mass has its keys' spread in it; first order: its centroid alone. */
typedef enum { HS_FAR_DROPPED = 0,
               HS_FAR_FIRST = 1,
               HS_FAR_SECOND = 2 } hs_far_field;

/* What a certified error is relative to: the longest value of the cache, as in the paper's bounds, or the output itself. */
typedef enum { HS_EPS_OF_VALUE = 0,
               HS_EPS_OF_OUTPUT = 1 } hs_eps_of;

/*
 * 32-bit words, in this order also across the ABI. 0 means the default unless said. Of r, top_p, eps and theta at most one
 * is given; with none, fast goes by theta, certified by eps, exact by r.
 */
typedef struct {
    int mode;          /* hs_attention_mode */
    int strength;      /* hs_strength, of hsr */
    int far_field;     /* hs_far_field, of hsr; 0 is HS_FAR_DROPPED */
    int r;             /* keys per query; for exact by default hs_paper_r() of the keys that are seen */
    float top_p;       /* share of the mass that reported keys hold, 0..1 */
    float eps;         /* certified: bound on |error| over what eps_of says, from HS_EPS_LEAST; else the same as top_p = 1 - eps. HS_EPS */
    float theta;       /* fast, 0..1: HS_THETA */
    float leaf_theta;  /* fast, 0..1: HS_LEAF_THETA */
    float value_theta; /* fast, 0..1: HS_VALUE_THETA */
    int dense_below;   /* hsr: contexts shorter than this are dense; HS_DENSE_BELOW */
    int block_hsr;     /* 1: blocks of queries by Algorithm 2; 0: exactly */
    int alpha;         /* relu: 1..HS_ALPHA_MAX */
    float b;           /* relu: threshold, in logits; any finite number */
    int end;           /* keys at positions from `end` on are not seen; 0: all are seen */
    int window;        /* only the last `window` positions before `end` (0: before the cache's end) are seen, and the sinks; 0: all */
    int sinks;         /* first positions that are seen beside the window */
    int causal;        /* query i of a block of n sees what it would see with end - (n - 1 - i) for `end` */
    float scale;       /* logit = scale * <q,k>; not 0 */
    float softcap;     /* logit = softcap * tanh(logit / softcap); 0: none */
    int eps_of;        /* hs_eps_of */
    float dense_above; /* fast: dense when more than this share of the leaves would be opened, 0..1 (never): HS_DENSE_ABOVE */
} hs_attention_params;

#define HS_THETA 1e-3f
#define HS_LEAF_THETA 2e-3f
#define HS_VALUE_THETA 1e-4f
#define HS_EPS 0.1f
#define HS_EPS_LEAST 1e-4f
#define HS_DENSE_ABOVE 0.85f /* from there on dense takes less time */
enum { HS_DENSE_BELOW = 2048,
       HS_ALPHA_MAX = 8 };

/* The share of the mass that reported keys are to hold, by top_p or by eps; 0 where neither is given. */
static inline float hs_share_asked(const hs_attention_params *p) {
    return p->eps > 0 ? 1 - p->eps : p->top_p;
}

/* Whether a context that ends at position `end` is so short that hsr is dense. */
static inline int hs_is_short(const hs_attention_params *p, int end) {
    return end < (p->dense_below > 0 ? p->dense_below : HS_DENSE_BELOW);
}

/* HS_OK, or HS_ERR_ARGUMENT with the field, its value and its limit as error text. */
int hs_attention_check(const hs_attention_params *p);

/* HS_ERR_ARGUMENT when one of n coordinates of queries, or its product with the scale, is NaN or beyond HS_COORDINATE_LIMIT (kv/coordinates.h). */
int hs_attention_check_queries(const float *q, int n, float scale);

/*
 * Sums over calls unless said. Dense and fast count a key once per KV head, as the queries of a group share the work; relu,
 * certified and exact take queries one by one and count it for each. All f64, in this order across the ABI.
 */
typedef struct {
    double keys_visible, keys_screened, keys_exact, leaves_total, leaves_opened;
    double mass_exact; /* sum over queries of the share of softmax mass that was evaluated exactly; relu: 1 each */
    double queries;
    double keys_valued;    /* keys of estimated weight and own value */
    double keys_refined;   /* certified, exact, relu: keys whose int8 (or f32) product was read because 4 bits did not decide */
    double error;          /* certified, exact: sum over queries of the bound on the output error; fast: of its estimate; in units of values */
    double error_max;      /* the largest of them */
    double error_relative; /* sum over queries of that bound or estimate / the output's length */
    double value_norm;     /* largest length of a value that was met; eps is relative to it by default */
    double dense;          /* queries for which hsr fell back to dense attention because it was cheaper */
} hs_attention_stats;

/* Where to note which keys a call evaluated exactly. */
typedef struct {
    int *positions; /* [room] */
    float *shares;  /* [room][group] their shares of each query's weight; or NULL */
    int room, n;    /* n counts beyond `room` too: start it at 0 */
} hs_reported;

/* The paper's r: ceil(n^(4/5)). */
int hs_paper_r(int n);

/*
 * The paper's threshold for n keys of independent normal coordinates of deviation sigma_k and m queries of deviation
 * sigma_q: b = sigma_a sqrt(0.4 ln n), sigma_a = 4 sqrt(1 + ln(m / delta) / d) sigma_q sigma_k; with probability 1 - delta
 * no query has more than 2 n^(4/5) keys with <q,k> / sqrt(d) >= b.
 */
double hs_paper_b(int n, int d, int m, double delta, double sigma_q, double sigma_k);

/* Bytes of scratch for caches of up to `capacity` keys (parents included) and blocks of up to max_block queries. */
size_t hs_attention_scratch_bytes(int head_dim, int group, int capacity, int max_block);

/*
 * One query per head of the group, q, out: [group][head_dim]; it sees the whole cache but for p's limits. `reported` may be
 * NULL. A query that sees no key, or for relu none with a weight, gets zeros. p was checked.
 */
void hs_attend_decode(const hs_kv *kv, const float *q, int group, const hs_attention_params *p, float *out, hs_attention_stats *stats, hs_reported *reported, void *scratch);

/*
 * n queries per head (1..max_block). Head h of query i is at q + i*q_stride + h*head_dim, its output at out + i*out_stride +
 * h*head_dim. Dense, and hsr of strength fast with block_hsr, work on the block at once: exactly, or by Algorithm 2 of the
 * paper: the queries of the block and of the group are weighed against leaf centroids together, a leaf is evaluated exactly
 * for the queries of which it may hold the share leaf_theta, and acts through its centroid and mean value for the others.
 * hsr without block_hsr is exact here. Other modes and strengths take the queries one by one.
 */
void hs_attend_block(const hs_kv *kv, const float *q, int q_stride, int n, int group, const hs_attention_params *p, float *out, int out_stride, hs_attention_stats *stats, void *scratch);

#endif

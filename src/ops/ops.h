/* ops -- for each op: its inputs, outputs and attrs by number (for cards and kernels), and the call that adds
 * it to a graph. Rows are token rows: N packed rows, no padding. Letters: N rows, S sequences, R labelled
 * rows, D width, H heads, G key/value heads, K head width, V vocabulary, T positions.
 *
 * fp32 values unless said; scalars are tensors with ndim 0. "?" optional input (view.data NULL), "!" optional
 * output. */
#ifndef PLAIT_OPS_OPS_H
#define PLAIT_OPS_OPS_H

#include "core/op.h"

/* embedding: y[N, row...] = table[ids[N], row...].  ids I32 in [0, V). A rank that holds rows
 * first..first+dim of the table writes zeros for ids of others (y is then PARTIAL). The table may be a value
 * whose rows are counted: rows of it are gathered then, and each dp rank has ids of its own rows. padding: an
 * id whose row gets no gradient, -1: none. */
enum { EMBEDDING_TABLE, EMBEDDING_IDS, EMBEDDING_INPUTS };
enum { EMBEDDING_PADDING };
struct tensor *embedding(struct builder *b, struct tensor *table, struct tensor *ids);
struct tensor *padded_embedding(struct builder *b, struct tensor *table, struct tensor *ids,
                                int64_t padding); /* negative: none */
/* embedding_grad: dtable[V, row...] (+)= sum over n of dy[n] at ids[n] (but padding). "like": the table, for
 * its shape only. */
enum { EMBEDDING_GRAD_DY, EMBEDDING_GRAD_IDS, EMBEDDING_GRAD_LIKE, EMBEDDING_GRAD_INPUTS };

/* add: y = a + b, same shape. */
struct tensor *add(struct builder *b, struct tensor *x, struct tensor *y);

/* activation: y = f(x), elementwise. */
enum activation_kind {
    ACT_NONE,
    ACT_GELU_TANH,
    ACT_GELU_ERF,
    ACT_RELU,
    ACT_SILU,
    ACT_TANH,
    ACT_QUICK_GELU,
    ACT_EXP, /* these two are for losses: no config has them */
    ACT_LOG,
    ACT_KINDS
};
enum { ACTIVATION_KIND };                       /* attr */
enum { ACTIVATION_GRAD_DY, ACTIVATION_GRAD_X }; /* dx = dy * f'(x); attr ACTIVATION_KIND */
struct tensor *activation(struct builder *b, struct tensor *x, enum activation_kind kind);
/* HF's names: gelu_new, gelu_pytorch_tanh, gelu_fast (tanh form); gelu; relu; silu, swish; tanh; quick_gelu.
 */
int activation_find(const char *name, enum activation_kind *kind);

/* glu: y = f(gate) * up, elementwise: the gate of a gated linear unit. Both of one shape. */
enum { GLU_GATE, GLU_UP };
enum { GLU_KIND };                                /* attr: an activation_kind */
enum { GLU_GRAD_DY, GLU_GRAD_GATE, GLU_GRAD_UP }; /* attr GLU_KIND */
enum { GLU_GRAD_DGATE, GLU_GRAD_DUP };            /* dy * up * f'(gate), dy * f(gate) */
struct tensor *glu(struct builder *b, struct tensor *gate, struct tensor *up, enum activation_kind kind);

/* dropout: y = x * keep / (1 - p). keep at (row n, feature f) is a function of (seed, step, node's stream,
 * place[n], f), so a shard of rows or features drops the same entries. place I64[N] = sample number in the
 * global batch * T + position. Random bits: rng_bits(key{seed, stream}, step << 40 | place, f / 4)[f % 4];
 * kept when bits >= p * 2^32. f is the index of the feature in the whole row (all dims after the first,
 * row-major, of the whole tensor). */
enum { DROPOUT_X, DROPOUT_PLACE };
enum { DROPOUT_P };
struct tensor *dropout(struct builder *b, struct tensor *x, struct tensor *place,
                       double p); /* p 0, or not training: x itself */

/* layernorm: s = x + residual (or x); y = (s - mean) * rstd * weight + bias over the last dim D. Outputs: y,
 * mean[N], rstd[N] (fp32), s! (wanted when there is a residual). bias optional. */
enum { LAYERNORM_X, LAYERNORM_WEIGHT, LAYERNORM_BIAS, LAYERNORM_RESIDUAL };
enum { LAYERNORM_Y, LAYERNORM_MEAN, LAYERNORM_RSTD, LAYERNORM_SUM };
enum { LAYERNORM_EPS };
struct tensor *layernorm(struct builder *b, struct tensor *x, struct tensor *weight, struct tensor *bias,
                         double eps);
/* layernorm_grad: dx = gradient through the norm (+ dsum, the gradient that reaches s from elsewhere);
 * dweight, dbias (both accumulate). x is the normalised input (s). */
enum {
    LAYERNORM_GRAD_DY,
    LAYERNORM_GRAD_X,
    LAYERNORM_GRAD_WEIGHT,
    LAYERNORM_GRAD_MEAN,
    LAYERNORM_GRAD_RSTD,
    LAYERNORM_GRAD_DSUM
};
enum { LAYERNORM_GRAD_DX, LAYERNORM_GRAD_DWEIGHT, LAYERNORM_GRAD_DBIAS };

/* rmsnorm: s = x + residual (or x); y = s * rstd * weight with rstd = 1 / sqrt(mean of s^2 + eps), over the
 * last dim D. Outputs: y, rstd[N] (fp32), s! (wanted when there is a residual). */
enum { RMSNORM_X, RMSNORM_WEIGHT, RMSNORM_RESIDUAL };
enum { RMSNORM_Y, RMSNORM_RSTD, RMSNORM_SUM };
enum { RMSNORM_EPS };
struct tensor *rmsnorm(struct builder *b, struct tensor *x, struct tensor *weight, double eps);
/* rmsnorm_grad: dx = gradient through the norm (+ dsum, the gradient that reaches s from elsewhere); dweight
 * accumulates. x is the normalised input (s). */
enum { RMSNORM_GRAD_DY, RMSNORM_GRAD_X, RMSNORM_GRAD_WEIGHT, RMSNORM_GRAD_RSTD, RMSNORM_GRAD_DSUM };
enum { RMSNORM_GRAD_DX, RMSNORM_GRAD_DWEIGHT };

/* linear: contracts x's dims after the first with the weight's contracted dims.
 *     x (N, in...)  weight (in..., out...) when !out_first, (out..., in...) when out_first  ->  y (N, out...)
 * As matrices: I = product of in dims, O = product of out dims; y[N,O] = x[N,I] * W (+ bias[out...]) then,
 * when act is not ACT_NONE, pre = that and y = f(pre) (pre! is an optional output), then (+ residual (N,
 * out...)). attrs: in_ndim = number of contracted dims, out_first, act. */
enum { LINEAR_X, LINEAR_WEIGHT, LINEAR_BIAS, LINEAR_RESIDUAL };
enum { LINEAR_Y, LINEAR_PRE };
enum { LINEAR_IN_NDIM, LINEAR_OUT_FIRST, LINEAR_ACT };
struct tensor *linear(struct builder *b, struct tensor *x, struct tensor *weight, struct tensor *bias,
                      int in_ndim, bool out_first);
/* linear_grad_input: dx (N, in...) = dy * W^T, then, when act is given, dx *= f'(pre) with pre (N, in...). */
enum { LINEAR_GRAD_INPUT_DY, LINEAR_GRAD_INPUT_WEIGHT, LINEAR_GRAD_INPUT_PRE };
/* linear_grad_weight: dweight (+)= x^T dy in the weight's order; dbias! (+)= sum over rows of dy. "like": the
 * weight, "like_bias"?: the bias. */
enum { LINEAR_GRAD_WEIGHT_X, LINEAR_GRAD_WEIGHT_DY, LINEAR_GRAD_WEIGHT_LIKE, LINEAR_GRAD_WEIGHT_LIKE_BIAS };
enum { LINEAR_GRAD_WEIGHT_DW, LINEAR_GRAD_WEIGHT_DBIAS };

/* rotary_table: cosines and sines of rotary position embeddings (Su et al., "RoFormer", 2021), made once for
 * all layers: table (N, R) fp32, first R/2 cosines of positions[n] * f[i], then their sines, both times
 * `attention`. positions I32 [N]; frequencies (1 or 2, R/2): f is row 0, but where longest? I32 [N], the
 * positions of the row's sequence, is past `original`, it is row 1 or, without one, theta^(-2i/R) for a theta
 * that grows with longest and `factor`. Angles are made in fp32, as transformers' modeling_rope_utils.py
 * does. */
enum { ROTARY_TABLE_POSITIONS, ROTARY_TABLE_FREQUENCIES, ROTARY_TABLE_LONGEST };
enum { ROTARY_TABLE_ATTENTION, ROTARY_TABLE_ORIGINAL, ROTARY_TABLE_THETA, ROTARY_TABLE_FACTOR };
struct rotary_options {
    double attention, original, theta, factor; /* the last three only with longest */
};
struct tensor *rotary_table(struct builder *b, struct tensor *positions, struct tensor *frequencies,
                            struct tensor *longest, const struct rotary_options *o);
/* f[i] of n, a rotary_table with one row, in a sequence of `longest` positions, more than `original`. */
float rotary_grown(const struct node *n, int64_t i, int64_t longest);
/* rotary: x (N, P, H, K), of whose P parts the first `parts` are rotated, and of these the first R of K
 * features: features i and R/2 + i as a pair by the angles of row n of table (N, R). Inverse: the other way
 * round, which is its gradient. */
enum { ROTARY_X, ROTARY_TABLE };
enum { ROTARY_PARTS, ROTARY_INVERSE };
struct tensor *rotary(struct builder *b, struct tensor *x, struct tensor *table, int parts);

/* attention over packed sequences; never holds T x T.
 *   q (N, P, H, K), k and v (M, P', G, K): attr q_part, k_part, v_part say which of the P parts is meant (a
 * fused projection is one tensor given three times; separate ones have P = 1). H heads share G key/value
 * heads, H % G == 0: head h (whole-model number) uses kv head h / (H/G). q_offsets, kv_offsets I32 [S+1]:
 * rows of sequence s are offsets[s] .. offsets[s+1]-1. The last used entry is at counts[COUNT_SEQUENCES].
 *   q_positions I32 [N], kv_positions I32 [M]: position of each row in its sequence; a key with position < 0
 * is masked. place I64 [N] for dropout. score(i, j) = scale * q_i.k_j (+ table[bucket][h], table? (B, H),
 * bucket of kv_position[j] - q_position[i] by ops/bucket.h), allowed when kv_position[j] >= 0 and
 * (!causal or kv_position[j] <= q_position[i]) and (window == 0 or q_position[i] - kv_position[j] < window).
 * A query row with no allowed key, one of left padding say, gives what `blank` says. out (N, H, K); lse
 * (N, H) fp32 = log sum exp of the allowed scores (+inf where there are none). dropout p on the
 * probabilities: bits rng_bits({seed, stream},
 * step << 40 | place[i], (h << 32 | (j - kv_offsets[s])) / 4)
 *   [.. % 4] with h the whole-model head number; kept when bits >= p * 2^32, scaled by 1/(1-p). */
enum {
    ATTENTION_Q,
    ATTENTION_K,
    ATTENTION_V,
    ATTENTION_Q_OFFSETS,
    ATTENTION_KV_OFFSETS,
    ATTENTION_Q_POSITIONS,
    ATTENTION_KV_POSITIONS,
    ATTENTION_PLACE,
    ATTENTION_TABLE
};
enum { ATTENTION_OUT, ATTENTION_LSE };
enum {
    ATTENTION_CAUSAL,
    ATTENTION_SCALE,
    ATTENTION_WINDOW,
    ATTENTION_DROPOUT,
    ATTENTION_Q_PART,
    ATTENTION_K_PART,
    ATTENTION_V_PART,
    ATTENTION_MAX_DISTANCE,
    ATTENTION_BIDIRECTIONAL,
    ATTENTION_BLANK,
    ATTENTION_ATTRS
};
/* BLANK_ZERO, as torch's scaled_dot_product_attention with a mask of truth values. Where masks add a number
 * to scores instead, one so large that the scores are lost in it, keys with the fewest such numbers are
 * attended to alike: with ONE_MASK these are all of the sequence; with TWO_MASKS causality and window make
 * one, causality and padding (kv_position < 0; the key is then taken to stand at its row of the sequence) the
 * other. Gradients go to these scores all the same, but where the mask of the window has put its number in
 * their place. */
enum blank_rows { BLANK_ZERO, BLANK_ONE_MASK, BLANK_TWO_MASKS };
/* attention_grad: inputs as attention's, then out, lse, dout. Outputs dq, dk!, dv!, dtable!: shapes of q, k,
 * v, table; dtable accumulates. When k (or v) is the same tensor as q, its gradient lies in dq's part and dk
 * (dv) is not wanted; parts nobody makes are zero. */
enum { ATTENTION_GRAD_OUT = ATTENTION_TABLE + 1, ATTENTION_GRAD_LSE, ATTENTION_GRAD_DOUT };
enum { ATTENTION_GRAD_DQ, ATTENTION_GRAD_DK, ATTENTION_GRAD_DV, ATTENTION_GRAD_DTABLE };

struct sequences { /* inputs that say how rows form sequences; see attention */
    struct tensor *offsets, *positions, *place;
};
struct attention_options {
    bool causal;
    double scale, dropout;
    int window, q_part, k_part, v_part;
    struct tensor *table; /* bias of relative positions, (B, H); NULL: none */
    int64_t max_distance;
    bool bidirectional;
    enum blank_rows blank;
};
struct attention_inputs {
    struct tensor *q, *k, *v;
};
struct tensor *attention(struct builder *b, const struct attention_inputs *x, const struct sequences *q_rows,
                         const struct sequences *kv_rows, const struct attention_options *o);

/* Generation. The cache of a layer is two states (C, T, G, K): C cache rows. slot I32 [N]: generating
 * sequence of row n; positions I32 [N]; source I32 [C, T]: the cache row that holds position t of generating
 * sequence c (beams share prefixes; copying a beam copies its row of source). cache_append:
 * cache_k[slot[n]][positions[n]] = k[n], the same for v; in place. */
enum {
    CACHE_APPEND_K,
    CACHE_APPEND_V,
    CACHE_APPEND_CACHE_K,
    CACHE_APPEND_CACHE_V,
    CACHE_APPEND_SLOT,
    CACHE_APPEND_POSITIONS
};
enum {
    CACHE_APPEND_NEW_K,
    CACHE_APPEND_NEW_V
}; /* outputs: the caches' next versions, written into their storage */
enum { CACHE_APPEND_K_PART, CACHE_APPEND_V_PART };
/* attention_cached: row n attends to positions t = 0 .. positions[n] of its sequence (window and table as
 * above), reading cache[source[slot[n]][t]][t], or cache[slot[n]][t] without source. out (N, H, K). */
enum {
    ATTENTION_CACHED_Q,
    ATTENTION_CACHED_CACHE_K,
    ATTENTION_CACHED_CACHE_V,
    ATTENTION_CACHED_SLOT,
    ATTENTION_CACHED_POSITIONS,
    ATTENTION_CACHED_SOURCE,
    ATTENTION_CACHED_TABLE
};
enum {
    ATTENTION_CACHED_SCALE,
    ATTENTION_CACHED_WINDOW,
    ATTENTION_CACHED_Q_PART,
    ATTENTION_CACHED_MAX_DISTANCE,
    ATTENTION_CACHED_BIDIRECTIONAL
};
struct cache {
    struct tensor *k, *v;                     /* states of this layer */
    struct tensor *slot, *positions, *source; /* inputs; source may be NULL */
};
/* out: the caches' next versions, to be put into c->k and c->v before attention_cached reads them. */
void cache_append(struct builder *b, struct tensor *k, struct tensor *v, const struct cache *c,
                  const struct attention_options *o, struct tensor *out[2]);
struct tensor *attention_cached(struct builder *b, struct tensor *q, const struct cache *c,
                                const struct attention_options *o);

/* The head and its cross-entropy, split so that a vocabulary dealt out over ranks needs only (R) vectors
 * reduced, never logits. For r in labelled rows (rows? I32 [R] indexes x's rows, absent: x is (R, D); labels
 * I32 [R] in [0, V)):
 *     logits[r] = x[rows[r]] * W^T (+ bias)          in chunks of rows
 * weight (V, D) when out_first, else (D, V). A rank's share of the vocabulary is weight's dim with `first`
 * and `whole`; entries past `whole` are padding and count as -inf. head_stats: lse[R] = log sum exp logits
 * (over ranks: reduced by LOGSUMEXP), target[R] = logits[label], 0 on ranks that do not hold the label
 * (reduced by SUM), best! [R] = max logit (reduced by MAX), mean! [R] = mean of
 * logits (reduced by SUM). fp32. logits! (kept, V): room for those of the first rows, in an order of the
 * kernel's own; put in by plan/logits.c. */
enum { HEAD_STATS_X, HEAD_STATS_WEIGHT, HEAD_STATS_BIAS, HEAD_STATS_ROWS, HEAD_STATS_LABELS };
enum { HEAD_STATS_LSE, HEAD_STATS_TARGET, HEAD_STATS_BEST, HEAD_STATS_MEAN, HEAD_STATS_LOGITS };
enum { HEAD_OUT_FIRST, HEAD_KEPT };
/* head_grad: with dlse[R], dtarget[R] and dmean? [R] given, in place of logits
 *     dlogits = softmax * dlse + onehot(label) * dtarget + dmean / V
 * dx (N, D), zero at rows without label; dweight and dbias! accumulate. Inputs as head_stats', then lse (of
 * the whole vocabulary), dlse, dtarget, dmean?, logits? that were kept: dlogits take their place, the others
 * are made again. */
enum {
    HEAD_GRAD_LSE = HEAD_STATS_LABELS + 1,
    HEAD_GRAD_DLSE,
    HEAD_GRAD_DTARGET,
    HEAD_GRAD_DMEAN,
    HEAD_GRAD_LOGITS
};
enum { HEAD_GRAD_DX, HEAD_GRAD_DWEIGHT, HEAD_GRAD_DBIAS, HEAD_GRAD_DLOGITS };
/* token_loss: loss F64 scalar = sum over r of lse - (1 - smoothing) target - smoothing mean + z lse^2; mean?
 * only with smoothing: every entry of the vocabulary has smoothing / V of the label's weight.
 * token_loss_grad: dlse[R], dtarget[R], dmean! [R] from dloss and lse. */
enum { TOKEN_LOSS_LSE, TOKEN_LOSS_TARGET, TOKEN_LOSS_MEAN };
enum { TOKEN_LOSS_GRAD_DLOSS, TOKEN_LOSS_GRAD_LIKE };
enum { TOKEN_LOSS_GRAD_DLSE, TOKEN_LOSS_GRAD_DTARGET, TOKEN_LOSS_GRAD_DMEAN };
enum { TOKEN_LOSS_SMOOTHING, TOKEN_LOSS_Z };
/* head_loss: the three in one pass, put in by the fuse pass where the vocabulary is whole on a rank: logits
 * are made once and dlogits (seed 1) take their place. Inputs as head_stats'; outputs loss, dx!, dweight!,
 * dbias!. */
enum { HEAD_LOSS_LOSS, HEAD_LOSS_DX, HEAD_LOSS_DWEIGHT, HEAD_LOSS_DBIAS };
struct head {
    struct tensor *weight, *bias; /* bias may be NULL */
    bool out_first;
    /* What stands between hidden states and the projection, on rows (R, D) with their places; NULL: nothing.
     */
    struct tensor *(*prepare)(struct builder *b, const void *config, struct tensor *x, struct tensor *place);
    const void *config;
};
/* Sum of the token losses of x's labelled rows (rows NULL: x has no others), F64 scalar. `prepare` is the
 * caller's. */
struct tensor *head_loss(struct builder *b, struct tensor *x, const struct head *head, struct tensor *rows,
                         struct tensor *labels);
/* The same, and what tells whether the label was the likeliest: its logit and the largest, (R) each. */
struct head_scores {
    struct tensor *target, *best;
};
struct head_loss_options {
    double smoothing, z;        /* of token_loss */
    struct head_scores *scores; /* NULL: nobody asks */
};
struct tensor *head_loss_with(struct builder *b, struct tensor *x, const struct head *head,
                              struct tensor *rows, struct tensor *labels, const struct head_loss_options *o);

/* target_loss: of logits (R, L) against targets F32 (R, L): F64 scalar = sum over r of the mean over l of
 *     TARGET_SQUARE: (logit - target)^2      TARGET_BINARY: log(1 + e^logit) - target * logit
 * target_loss_grad: dlogits (R, L) from dloss. */
enum { TARGET_LOSS_LOGITS, TARGET_LOSS_TARGETS };
enum { TARGET_LOSS_GRAD_DLOSS, TARGET_LOSS_GRAD_LOGITS, TARGET_LOSS_GRAD_TARGETS };
enum { TARGET_LOSS_KIND }; /* attr */
enum target_loss_kind { TARGET_SQUARE, TARGET_BINARY };
struct tensor *target_loss(struct builder *b, struct tensor *logits, struct tensor *targets,
                           enum target_loss_kind kind);

/* row_dot: z[N] = sum over the row of x * y, both (N, dims...).  row_scale: y[n, ...] = s[n] * x[n, ...]. */
enum { ROW_DOT_X, ROW_DOT_Y };
struct tensor *row_dot(struct builder *b, struct tensor *x, struct tensor *y);
enum { ROW_SCALE_X, ROW_SCALE_S };
struct tensor *row_scale(struct builder *b, struct tensor *x, struct tensor *s);

/* fill: y = value, shape and dtype of "like".  scale: y = factor * x. */
enum { FILL_VALUE };
struct tensor *fill(struct builder *b, struct tensor *like, double value);
enum { SCALE_FACTOR };
struct tensor *scale(struct builder *b, struct tensor *x, double factor);

/* cast: y = x as attr dtype, F32 or BF16 (to the nearest, ties to even; NaN stays NaN). Put in by the
 * precision pass alone, after gradients. */
enum { CAST_DTYPE };

/* sum_squares: F64 scalar = sum over all inputs of their squares; inputs with data NULL count as zero. Fixed
 * order. */
struct tensor *sum_squares(struct builder *b, int count, struct tensor *const x[]);

/* step_control: from the global batch's loss sum (F64), label count (F64), sum of squares of the summed
 * gradients (F64) and the host's settings F64 [CONTROL_SETTINGS]: makes control F64 [CONTROL_OUTPUTS]. apply
 * is 0 when count is 0 or loss or norm is not finite. scale multiplies summed gradients: clip / count.
 * grad_norm is that of the mean gradient, before clipping: sqrt(sumsq) / count; clip = min(1, max_norm /
 * (grad_norm + 1e-6)), 1 when max_norm is 0. */
enum { STEP_CONTROL_LOSS, STEP_CONTROL_COUNT, STEP_CONTROL_SUMSQ, STEP_CONTROL_SETTINGS };
enum { SETTING_LEARNING_RATE, SETTING_STEP /* t, from 1 */, SETTING_MAX_NORM, CONTROL_SETTINGS };
enum {
    CONTROL_APPLY,
    CONTROL_SCALE,
    CONTROL_GRAD_NORM,
    CONTROL_LOSS /* mean */,
    CONTROL_LEARNING_RATE,
    CONTROL_STEP,
    CONTROL_OUTPUTS
};

/* adamw: for each group of four inputs (param, grad, m, v) after control, all in place, all fp32:
 *     g = grad * scale;  m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2
 *     param = param * (1 - lr * decay) - lr * (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + eps)
 * (Loshchilov and Hutter 2019, as torch.optim.AdamW.) apply 0: nothing is touched. Any number of groups. A
 * variadic op's outputs are not listed: outputs are updates in place, node->out stays empty. */
enum { ADAMW_CONTROL, ADAMW_FIRST };
enum { ADAMW_PARAM, ADAMW_GRAD, ADAMW_M, ADAMW_V, ADAMW_GROUP };
enum { ADAMW_BETA1, ADAMW_BETA2, ADAMW_EPS, ADAMW_DECAY };

/* adafactor_sums: of grad (R, C), its first `split` dims taken as rows R: rows[R], cols[C] F64 = sums of
 * squares. adafactor_norms: with beta = 1 - t^-power, g = grad * scale and those sums for g:
 *     v = beta v + (1-beta) (mean of g^2 over the row's columns + eps)      col likewise       in place
 *     u = g / sqrt(v col / mean(v))              col absent: v (R, C) of g^2 + eps, u = g / sqrt(v)
 * and norms F64 [ADAFACTOR_NORMS] = sum of u^2 (with col: over mean(v)), sum of param^2, sum of v (with col).
 * adafactor: with rms(u), rms(param) = sqrt(norm / count) and rate = lr, times max(least_scale, rms(param))
 * when relative:
 *     param = param * (1 - rate * decay) - rate * u / max(1, rms(u) / clip)                    in place
 * (Shazeer and Stern 2018, as transformers' Adafactor, and with `relative` as optax.adafactor.) mean(v) is
 * known when the norms have been summed over the shares. apply 0: nothing is touched. Padding stays 0. */
enum { ADAFACTOR_CONTROL, ADAFACTOR_PARAM, ADAFACTOR_GRAD, ADAFACTOR_V, ADAFACTOR_COL };
enum { ADAFACTOR_ROWS = ADAFACTOR_COL + 1, ADAFACTOR_COLS }; /* of adafactor_norms */
enum { ADAFACTOR_NORM = ADAFACTOR_COL + 1 };                 /* of adafactor */
enum { ADAFACTOR_SUMS_ROWS, ADAFACTOR_SUMS_COLS };
enum { ADAFACTOR_NORM_STEP, ADAFACTOR_NORM_PARAM, ADAFACTOR_NORM_MOMENT, ADAFACTOR_NORMS };
enum { ADAFACTOR_SPLIT, ADAFACTOR_POWER, ADAFACTOR_EPS };
enum { ADAFACTOR_DECAY = 1, ADAFACTOR_CLIP, ADAFACTOR_RELATIVE, ADAFACTOR_LEAST_SCALE }; /* of adafactor */

/* Collectives along one mesh axis (attr), put in by the shard pass alone. dim: the dim that is gathered or
 * dealt out. keep_shard: REPLICATE -> SHARD(dim), no communication. keep_first: REPLICATE -> PARTIAL, kept by
 * the axis' first rank and NULL (zeros) elsewhere. */
enum { COLLECTIVE_AXIS, COLLECTIVE_DIM, COLLECTIVE_REDUCTION, COLLECTIVE_MEMBERS /* 0: all ranks */ };

/* send, receive: what a neighbouring stage of the pipeline reads or makes. keeps_f32: as its maker's card. */
enum { TRANSFER_STAGE, TRANSFER_TAG, TRANSFER_KEEPS_F32 };

#endif

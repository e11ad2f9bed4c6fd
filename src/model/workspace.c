#include "model/workspace.h"

#include "base/memory.h"
#include "kernels/activations.h"

hs_workspace hs_workspace_over(const hs_config *c, void *block) {
    int q = c->n_heads * c->head_dim, kv = c->n_kv_heads * c->head_dim;
    int widest = hs_max(c->dim, hs_max(q, c->ffn_dim));
    hs_workspace w = {0};
    const struct {
        float **buffer;
        int width;
    } parts[] = {{&w.x, c->dim}, {&w.h, c->dim}, {&w.q, q}, {&w.k, kv}, {&w.v, kv}, {&w.attended, q}, {&w.gate, c->ffn_dim}, {&w.up, c->ffn_dim}, {&w.angles[0], c->rope_dim}, {&w.angles[1], c->rope_dim}};
    for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++) *parts[i].buffer = hs_carve(block, &w.bytes, (size_t)HS_BATCH * (size_t)parts[i].width * sizeof(float));
    w.quantized = hs_carve(block, &w.bytes, hs_act_bytes(widest, HS_BATCH));
    return w;
}

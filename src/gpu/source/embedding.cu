// Token and position embedding. The gradient of a token's row is summed over its occurrences in their order, so no bit
// depends on chance.

// x = tokens[id] + positions[t] // x (rows, WIDTH), ids (rows); row r stands at position r % context
KERNEL(embed, 256, float* x, const u32* ids, const float* tokens, const float* positions, int rows, int context) {
    const int row = blockIdx.x * ROW_WARPS + warp_index();
    if (row >= rows) return;
    Row token, position;
    token.read(tokens + (size_t)ids[row] * WIDTH);
    position.read(positions + (size_t)(row % context) * WIDTH);
    for (int i = 0; i < PER; i++)
        for (int j = 0; j < VECTOR; j++) token.v[i][j] += position.v[i][j];
    token.write(x + (size_t)row * WIDTH);
}

// d_tokens[ids[i]] += the sum of the rows of d where that token stands: rows[first[i]..first[i + 1]]. One block per
// distinct token. // d_tokens (vocabulary, WIDTH), d (any, WIDTH)
KERNEL(embed_tokens_backward, 256, float* d_tokens, const float* d, const u32* ids, const u32* first, const u32* rows) {
    Row sum;
    sum.fill(0.0f);
    const u32 end = first[blockIdx.x + 1];
    for (u32 i = first[blockIdx.x] + warp_index(); i < end; i += ROW_WARPS) {
        Row one;
        one.read(d + (size_t)rows[i] * WIDTH);
        for (int k = 0; k < PER; k++)
            for (int j = 0; j < VECTOR; j++) sum.v[k][j] += one.v[k][j];
    }
    sum_warps(sum, d_tokens + (size_t)ids[blockIdx.x] * WIDTH, true);
}

// d_positions (+)= the sum over sequences // d_positions (context, WIDTH), d (sequences, context, WIDTH)
KERNEL(embed_positions_backward, 256, float* d_positions, const float* d, int sequences, int context, int is_added) {
    const size_t i = (size_t)blockIdx.x * 256 + threadIdx.x, n = (size_t)context * WIDTH;
    if (i >= n) return;
    float sum = is_added ? d_positions[i] : 0.0f;
    for (int s = 0; s < sequences; s++) sum += d[s * n + i];
    d_positions[i] = sum;
}

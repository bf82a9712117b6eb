// Layer norm with what stands around it: the sum of residual stream and branch before it, and the same backwards. One warp
// has one row in registers. y = (x - mean) * rstd * gain + shift, rstd = 1 / sqrt(variance + 1e-5).

constexpr int NORM_ROWS = 64;  // rows of a block of the backward pass

// sum = x + factor * (y + bias); then its norm. What is null is left out: x, y, bias are zeros then, without a gain there
// is no norm (`copy` is of the sum), and sum, normed, copy and stats are not written.
// x, y, sum, normed, copy (rows, WIDTH), bias, gain, shift (WIDTH), stats (rows, 2)
KERNEL(add_norm, 256, const float* x, const STORE* y, const float* bias, float factor, const float* gain,
       const float* shift, float* sum, float* stats, float* normed, STORE* copy, int rows) {
    const int row = blockIdx.x * ROW_WARPS + warp_index();
    if (row >= rows) return;
    const size_t first = (size_t)row * WIDTH;
    Row total;
    total.fill(0.0f);
    if (x) total.read(x + first);
    if (y) {
        Row branch, shifts;
        branch.read(y + first);
        shifts.fill(0.0f);
        if (bias) shifts.read(bias);
        for (int i = 0; i < PER; i++)
            for (int j = 0; j < VECTOR; j++) total.v[i][j] += factor * (branch.v[i][j] + shifts.v[i][j]);
    }
    if (sum) total.write(sum + first);
    if (gain) {
        const float mean = total.sum() / WIDTH;
        const float rstd = 1.0f / sqrtf(total.sum_of_squares_around(mean) / WIDTH + 1e-5f);
        if (stats && lane_index() == 0) {
            stats[2 * (size_t)row] = mean;
            stats[2 * (size_t)row + 1] = rstd;
        }
        Row gains, shifts;
        gains.read(gain);
        shifts.read(shift);
        for (int i = 0; i < PER; i++)
            for (int j = 0; j < VECTOR; j++)
                total.v[i][j] = (total.v[i][j] - mean) * rstd * gains.v[i][j] + shifts.v[i][j];
    }
    if (normed) total.write(normed + first);
    if (copy) total.write(copy + first);
}

// dx = residual + what the norm passes on of dy; copy = factor * dx. Sums over the block's rows go to `partials`: of the
// gain's gradient, the shift's, and of factor * dx (a bias's). One of dy_store and dy is null; residual, copy may be.
// dx may be residual or dy. // dy, x, residual, dx, copy (rows, WIDTH), stats (rows, 2), partials (blocks, 3, WIDTH)
KERNEL(norm_backward, 256, const STORE* dy_store, const float* dy, const float* x, const float* stats, const float* gain,
       const float* residual, float* dx, STORE* copy, float factor, float* partials, int rows) {
    Row gains, d_gain, d_shift, d_bias;
    gains.read(gain);
    d_gain.fill(0.0f);
    d_shift.fill(0.0f);
    d_bias.fill(0.0f);
    const int end = min(rows, (int)(blockIdx.x + 1) * NORM_ROWS);
    for (int row = blockIdx.x * NORM_ROWS + warp_index(); row < end; row += ROW_WARPS) {
        const size_t first = (size_t)row * WIDTH;
        const float mean = stats[2 * (size_t)row], rstd = stats[2 * (size_t)row + 1];
        Row d, norm;
        if (dy_store)
            d.read(dy_store + first);
        else
            d.read(dy + first);
        norm.read(x + first);
        float sum = 0.0f, product = 0.0f;
#pragma unroll
        for (int i = 0; i < PER; i++)
            for (int j = 0; j < VECTOR; j++) {
                const float n = (norm.v[i][j] - mean) * rstd, g = d.v[i][j];
                d_gain.v[i][j] += g * n;
                d_shift.v[i][j] += g;
                norm.v[i][j] = n;
                d.v[i][j] = g * gains.v[i][j];  // 0 beyond the last column
                sum += d.v[i][j];
                product += d.v[i][j] * n;
            }
        sum = warp_sum(sum) / WIDTH;
        product = warp_sum(product) / WIDTH;
        Row before;
        before.fill(0.0f);
        if (residual) before.read(residual + first);
#pragma unroll
        for (int i = 0; i < PER; i++)
            for (int j = 0; j < VECTOR; j++) {
                d.v[i][j] = before.v[i][j] + rstd * (d.v[i][j] - sum - norm.v[i][j] * product);
                norm.v[i][j] = factor * d.v[i][j];
                d_bias.v[i][j] += norm.v[i][j];
            }
        d.write(dx + first);
        if (copy) norm.write(copy + first);
    }
    float* own = partials + (size_t)blockIdx.x * 3 * WIDTH;
    sum_warps(d_gain, own, false);
    sum_warps(d_shift, own + WIDTH, false);
    sum_warps(d_bias, own + 2 * WIDTH, false);
}

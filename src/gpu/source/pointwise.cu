// Passes over whole matrices, element by element, with sums over rows where a bias has its gradient: GELU with bias, sums
// of gradients, casts, and the moving of rows and parts. A thread has two neighbouring columns, a block 2 * 128 columns of
// BAND rows.

constexpr int BAND = 64;
constexpr int COLUMN_THREADS = 128;
constexpr int AHEAD = 4;  // rows that are read before the first is worked on: memory takes its time

// Two neighbours of a row of n; one where there is only one left, or where rows begin at odd places.
struct Pair {
    size_t at;
    bool is_second, is_aligned;

    DEVICE Pair(size_t row, int column, int n) : at(row * n + column), is_second(column + 1 < n), is_aligned(n % 2 == 0) {}

    template <typename T>
    DEVICE void read(const T* from, float (&x)[2]) const {
        if (is_aligned) return load_group<2>(from + at, x);
        x[0] = load(from[at]);
        x[1] = is_second ? load(from[at + 1]) : 0.0f;
    }

    template <typename T>
    DEVICE void write(T* to, const float (&x)[2]) const {
        if (is_aligned) return store_group<2>(to + at, x);
        store(to + at, x[0]);
        if (is_second) store(to + at + 1, x[1]);
    }
};

DEVICE int pair_column() {
    return 2 * (blockIdx.x * COLUMN_THREADS + threadIdx.x);
}

DEVICE void read_columns(const float* values, int column, int n, float (&x)[2]) {
    x[0] = values ? values[column] : 0.0f;
    x[1] = values && column + 1 < n ? values[column + 1] : 0.0f;
}

DEVICE void write_columns(float* values, int column, int n, const float (&x)[2]) {
    values[column] = x[0];
    if (column + 1 < n) values[column + 1] = x[1];
}

// By what share of itself x is kept, and the slope. is_exact: x * Phi(x); else GPT-2's form with tanh.
DEVICE void share_and_slope(float x, int is_exact, float& share, float& slope) {
    if (is_exact) {
        share = 0.5f * (1.0f + erff(x * 0.70710678f));
        slope = share + x * 0.3989423f * expf(-0.5f * x * x);
    } else {
        // Where the quotient's divisor is infinite, it is 0.
        share = quick_inverse(1.0f + quick_exp(-1.595769f * x * (1.0f + 0.044715f * x * x)));
        slope = share + x * share * (1.0f - share) * 1.595769f * (1.0f + 3.0f * 0.044715f * x * x);
    }
}

// act = gelu(pre + bias) // act, pre (rows, n), bias (n)
KERNEL(gelu_forward, 128, STORE* act, const STORE* pre, const float* bias, int rows, int n, int is_exact) {
    const int column = pair_column();
    if (column >= n) return;
    float shift[2];
    read_columns(bias, column, n, shift);
    const int end = min(rows, (int)(blockIdx.y + 1) * BAND);
    for (int first = blockIdx.y * BAND; first < end; first += AHEAD) {
        float x[AHEAD][2];
#pragma unroll
        for (int r = 0; r < AHEAD; r++)
            if (first + r < end) Pair(first + r, column, n).read(pre, x[r]);
#pragma unroll
        for (int r = 0; r < AHEAD; r++) {
            if (first + r >= end) break;
            for (int j = 0; j < 2; j++) {
                float share, slope;
                share_and_slope(x[r][j] + shift[j], is_exact, share, slope);
                x[r][j] = (x[r][j] + shift[j]) * share;
            }
            Pair(first + r, column, n).write(act, x[r]);
        }
    }
}

// d *= the slope at pre + bias, and its sums over the band's rows // d, pre (rows, n), bias (n), partials (bands, n)
KERNEL(gelu_backward, 128, STORE* d, const STORE* pre, const float* bias, float* partials, int rows, int n,
       int is_exact) {
    const int column = pair_column();
    if (column >= n) return;
    float shift[2], total[2] = {0.0f, 0.0f};
    read_columns(bias, column, n, shift);
    const int end = min(rows, (int)(blockIdx.y + 1) * BAND);
    for (int first = blockIdx.y * BAND; first < end; first += AHEAD) {
        float x[AHEAD][2], g[AHEAD][2];
#pragma unroll
        for (int r = 0; r < AHEAD; r++) {
            if (first + r >= end) break;
            Pair(first + r, column, n).read(pre, x[r]);
            Pair(first + r, column, n).read(d, g[r]);
        }
#pragma unroll
        for (int r = 0; r < AHEAD; r++) {
            if (first + r >= end) break;
            for (int j = 0; j < 2; j++) {
                float share, slope;
                share_and_slope(x[r][j] + shift[j], is_exact, share, slope);
                g[r][j] *= slope;
                total[j] += g[r][j];
            }
            Pair(first + r, column, n).write(d, g[r]);
        }
    }
    write_columns(partials + (size_t)blockIdx.y * n, column, n, total);
}

// Sums over the band's rows // d (rows, n), partials (bands, n)
KERNEL(column_sums, 128, float* partials, const STORE* d, int rows, int n) {
    const int column = pair_column();
    if (column >= n) return;
    float total[2] = {0.0f, 0.0f};
    const int end = min(rows, (int)(blockIdx.y + 1) * BAND);
    for (int first = blockIdx.y * BAND; first < end; first += AHEAD) {
        float g[AHEAD][2];
#pragma unroll
        for (int r = 0; r < AHEAD; r++)
            if (first + r < end) Pair(first + r, column, n).read(d, g[r]);
#pragma unroll
        for (int r = 0; r < AHEAD; r++)
            for (int j = 0; j < 2; j++)
                if (first + r < end) total[j] += g[r][j];
    }
    write_columns(partials + (size_t)blockIdx.y * n, column, n, total);
}

// dx = residual + dy; copy = factor * dx, and the copy's sums over the band's rows. Each may be null.
// residual, dy, dx, copy (rows, n), partials (bands, n)
KERNEL(add_gradient, 128, const float* residual, const STORE* dy, float* dx, STORE* copy, float factor, float* partials,
       int rows, int n) {
    const int column = pair_column();
    if (column >= n) return;
    float total[2] = {0.0f, 0.0f};
    const int end = min(rows, (int)(blockIdx.y + 1) * BAND);
    for (int first = blockIdx.y * BAND; first < end; first += AHEAD) {
        float x[AHEAD][2], y[AHEAD][2];
#pragma unroll
        for (int r = 0; r < AHEAD; r++) {
            x[r][0] = x[r][1] = y[r][0] = y[r][1] = 0.0f;
            if (first + r >= end) continue;
            if (residual) Pair(first + r, column, n).read(residual, x[r]);
            if (dy) Pair(first + r, column, n).read(dy, y[r]);
        }
#pragma unroll
        for (int r = 0; r < AHEAD; r++) {
            if (first + r >= end) break;
            const Pair pair(first + r, column, n);
            for (int j = 0; j < 2; j++) x[r][j] += y[r][j];
            if (dx) pair.write(dx, x[r]);
            for (int j = 0; j < 2; j++) {
                x[r][j] *= factor;
                total[j] += x[r][j];
            }
            if (copy) pair.write(copy, x[r]);
        }
    }
    if (partials) write_columns(partials + (size_t)blockIdx.y * n, column, n, total);
}

// to (+)= the sum of `count` partial sums that stand `stride` apart, always in the same order // to (n)
KERNEL(reduce, 256, float* to, const float* partials, int count, int stride, int n, int is_added) {
    SHARED float sums[8][LANES];
    const int column = blockIdx.x * LANES + lane_index();
    float sum = 0.0f;
    if (column < n)
        for (int i = warp_index(); i < count; i += 8) sum += partials[(size_t)i * stride + column];
    sums[warp_index()][lane_index()] = sum;
    __syncthreads();
    if (warp_index() > 0 || column >= n) return;
    for (int i = 1; i < 8; i++) sum += sums[i][lane_index()];
    to[column] = is_added ? to[column] + sum : sum;
}

// to = from // (n)
KERNEL(cast, 256, STORE* to, const float* from, u64 n) {
    const u64 i = (u64)blockIdx.x * 256 + threadIdx.x;
    if (i < n) store(to + i, from[i]);
}

// Below, elements are counted in 32 bits: whole quotients of 64 are slow.

// to[i] = from[rows[i]] // to (count, n), from (any, n)
KERNEL(gather_rows, 256, float* to, const float* from, const u32* rows, u32 count, u32 n) {
    const u32 i = blockIdx.x * 256 + threadIdx.x;
    if (i < (u32)count * n) to[i] = from[(size_t)rows[i / n] * n + i % n];
}

// The way back: rows that were not gathered are zeros // to (rows, n), from (count, n), place (rows): -1, or the row in from
KERNEL(scatter_rows, 256, float* to, const float* from, const int* place, u32 rows, u32 n) {
    const u32 i = blockIdx.x * 256 + threadIdx.x;
    if (i >= (u32)rows * n) return;
    const int row = place[i / n];
    to[i] = row < 0 ? 0.0f : from[(size_t)row * n + i % n];
}

// Some rows and columns of a matrix, and back into it // part (count_rows, count_columns), whole (any, width)
KERNEL(gather_part, 256, float* part, const float* whole, const u32* rows, const u32* columns, u32 count_rows,
       u32 count_columns, u32 width) {
    const u32 i = blockIdx.x * 256 + threadIdx.x;
    if (i >= (u32)count_rows * count_columns) return;
    part[i] = whole[(size_t)rows[i / count_columns] * width + columns[i % count_columns]];
}

KERNEL(scatter_part, 256, float* whole, const float* part, const u32* rows, const u32* columns, u32 count_rows,
       u32 count_columns, u32 width) {
    const u32 i = blockIdx.x * 256 + threadIdx.x;
    if (i >= (u32)count_rows * count_columns) return;
    whole[(size_t)rows[i / count_columns] * width + columns[i % count_columns]] = part[i];
}

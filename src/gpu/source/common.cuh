// What all kernels share: element types, sums over a warp, and the launch macro. Compiled at run time for the GPU at hand
// with WIDTH (the residual stream), HEAD (one attention head) and STORE (float, or bf16: how activations are kept) defined;
// the tests compile the same text for the host, with ON_HOST and a header of their own.

#ifndef ON_HOST
#define KERNEL(name, threads, ...) extern "C" __global__ void __launch_bounds__(threads) name(__VA_ARGS__)
#define DEVICE __device__ __forceinline__
#define SHARED __shared__
#define INFINITY __int_as_float(0x7f800000)
#endif

typedef unsigned int u32;
typedef unsigned long long u64;

struct bf16 {
    unsigned short bits;
};

constexpr int LANES = 32;
constexpr u32 ALL = 0xffffffffu;

// Two floats as bf16, rounded to the nearest even: the first in the lower half.
DEVICE u32 pack(float low, float high) {
#ifdef ON_HOST
    return host_round(low) | host_round(high) << 16;
#else
    u32 packed;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
    return packed;
#endif
}

DEVICE float load(float x) {
    return x;
}

DEVICE float load(bf16 x) {
    return __uint_as_float((u32)x.bits << 16);
}

DEVICE void store(float* to, float x) {
    *to = x;
}

DEVICE void store(bf16* to, float x) {
    to->bits = (unsigned short)pack(x, 0.0f);
}

// N neighbours that are read and written at once; their address must be a multiple of their size.
template <typename T, int N>
struct alignas(sizeof(T) * N) Group {
    T v[N];
};

template <int N, typename T>
DEVICE void load_group(const T* from, float (&x)[N]) {
    const Group<T, N> group = *reinterpret_cast<const Group<T, N>*>(from);
    for (int i = 0; i < N; i++) x[i] = load(group.v[i]);
}

template <int N, typename T>
DEVICE void store_group(T* to, const float (&x)[N]) {
    Group<T, N> group;
    for (int i = 0; i < N; i++) store(&group.v[i], x[i]);
    *reinterpret_cast<Group<T, N>*>(to) = group;
}

// Pairs are rounded together.
template <int N>
DEVICE void store_group(bf16* to, const float (&x)[N]) {
    if constexpr (N == 1) {
        store(to, x[0]);
    } else {
        Group<u32, N / 2> group;
        for (int i = 0; i < N / 2; i++) group.v[i] = pack(x[2 * i], x[2 * i + 1]);
        *reinterpret_cast<Group<u32, N / 2>*>(to) = group;
    }
}

// 2^x, e^x and a quotient as the chip has them in hardware: a few units in the last place off; results below the smallest
// normal number are 0.
DEVICE float quick_exp2(float x) {
#ifdef ON_HOST
    return exp2f(x);
#else
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#endif
}

constexpr float LOG2_E = 1.44269504f;

DEVICE float quick_exp(float x) {
    return quick_exp2(x * LOG2_E);
}

DEVICE float quick_inverse(float x) {
#ifdef ON_HOST
    return 1.0f / x;
#else
    return __fdividef(1.0f, x);
#endif
}

DEVICE int lane_index() {
    return threadIdx.x % LANES;
}

DEVICE int warp_index() {
    return threadIdx.x / LANES;
}

DEVICE float warp_sum(float x) {
    for (int step = LANES / 2; step > 0; step /= 2) x += __shfl_xor_sync(ALL, x, step);
    return x;
}

DEVICE float warp_max(float x) {
    for (int step = LANES / 2; step > 0; step /= 2) x = fmaxf(x, __shfl_xor_sync(ALL, x, step));
    return x;
}

// The columns of the residual stream that a lane owns: PER groups of VECTOR neighbours, LANES groups apart.
constexpr int VECTOR = WIDTH % (4 * LANES) == 0 ? 4 : 1;
constexpr int PER = (WIDTH + VECTOR * LANES - 1) / (VECTOR * LANES);

DEVICE int column_of(int group) {
    return (group * LANES + lane_index()) * VECTOR;
}

// One row of the residual stream, of which this lane has its own columns.
struct Row {
    float v[PER][VECTOR];

    DEVICE void fill(float x) {
        for (int i = 0; i < PER; i++)
            for (int j = 0; j < VECTOR; j++) v[i][j] = x;
    }

    // Columns beyond the last are zeros.
    template <typename T>
    DEVICE void read(const T* row) {
#pragma unroll
        for (int i = 0; i < PER; i++) {
            if (column_of(i) < WIDTH)
                load_group<VECTOR>(row + column_of(i), v[i]);
            else
                for (int j = 0; j < VECTOR; j++) v[i][j] = 0.0f;
        }
    }

    template <typename T>
    DEVICE void write(T* row) const {
#pragma unroll
        for (int i = 0; i < PER; i++)
            if (column_of(i) < WIDTH) store_group<VECTOR>(row + column_of(i), v[i]);
    }

    // Over all columns of the row, the same in every lane.
    DEVICE float sum() const {
        float total = 0.0f;
#pragma unroll
        for (int i = 0; i < PER; i++)
            for (int j = 0; j < VECTOR; j++) total += v[i][j];
        return warp_sum(total);
    }

    DEVICE float sum_of_squares_around(float mean) const {
        float total = 0.0f;
#pragma unroll
        for (int i = 0; i < PER; i++)
            if (column_of(i) < WIDTH)
                for (int j = 0; j < VECTOR; j++) total += (v[i][j] - mean) * (v[i][j] - mean);
        return warp_sum(total);
    }
};

constexpr int ROW_WARPS = 8;

struct alignas(16) Sums {
    float v[WIDTH];
};

// Adds up the rows that the warps of a block hold, in their order, and writes the sum. // to (WIDTH)
DEVICE void sum_warps(const Row& own, float* to, bool is_added) {
    SHARED Sums sums;
    float* const total = sums.v;
    for (int warp = 0; warp < ROW_WARPS; warp++) {
        if (warp_index() == warp) {
            Row sum = own;
            if (warp > 0) {
                Row before;
                before.read(total);
                for (int i = 0; i < PER; i++)
                    for (int j = 0; j < VECTOR; j++) sum.v[i][j] = before.v[i][j] + own.v[i][j];
            }
            sum.write(total);
        }
        __syncthreads();
    }
    for (int c = threadIdx.x; c < WIDTH; c += ROW_WARPS * LANES) to[c] = is_added ? to[c] + total[c] : total[c];
    __syncthreads();
}

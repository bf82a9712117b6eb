// Softmax cross entropy over the vocabulary, the gradient of the logits in their place; and the sums that a step ends in.

constexpr int LOSS_THREADS = 512;
constexpr int NEIGHBOURS = 16 / sizeof(STORE);  // logits of one access

// The same in every thread of a block of `threads`.
template <typename T, typename Join>
DEVICE T block_join(T own, T (&shared)[LOSS_THREADS], Join join) {
    shared[threadIdx.x] = own;
    __syncthreads();
    for (int step = LOSS_THREADS / 2; step > 0; step /= 2) {
        if ((int)threadIdx.x < step) shared[threadIdx.x] = join(shared[threadIdx.x], shared[threadIdx.x + step]);
        __syncthreads();
    }
    const T all = shared[0];
    __syncthreads();
    return all;
}

// A maximum, and the sum of exponentials below it.
struct Soft {
    float max, sum;
};

struct JoinSoft {
    DEVICE Soft operator()(Soft a, Soft b) const {
        const float max = fmaxf(a.max, b.max);
        if (max == -INFINITY) return a;
        return {max, a.sum * expf(a.max - max) + b.sum * expf(b.max - max)};
    }
};

struct JoinSum {
    DEVICE double operator()(double a, double b) const {
        return a + b;
    }
};

// losses = -log softmax(logits + bias)[target]; if is_trained, logits = (softmax - one-hot) * scale, and 0 in the columns
// that only fill up a row. One block per row. // logits (rows, stride), bias (vocabulary) or null, targets, losses (rows)
KERNEL(cross_entropy, 512, STORE* logits, const float* bias, const int* targets, float* losses, float scale,
       int vocabulary, int stride, int is_trained) {
    SHARED Soft joined[LOSS_THREADS];
    STORE* row = logits + (size_t)blockIdx.x * stride;
    const int target = targets[blockIdx.x];
    // The stride is a multiple of 8: so many neighbours at a time, of which the first is a logit.
    Soft own = {-INFINITY, 0.0f};
    for (int c = NEIGHBOURS * threadIdx.x; c < vocabulary; c += NEIGHBOURS * LOSS_THREADS) {
        float x[NEIGHBOURS];
        load_group<NEIGHBOURS>(row + c, x);
        float max = own.max;
        for (int j = 0; j < NEIGHBOURS; j++) {
            x[j] = c + j < vocabulary ? x[j] + (bias ? bias[c + j] : 0.0f) : -INFINITY;
            max = fmaxf(max, x[j]);
        }
        float sum = own.sum * quick_exp(own.max - max);
        for (int j = 0; j < NEIGHBOURS; j++) sum += quick_exp(x[j] - max);
        own = {max, sum};
    }
    const Soft all = block_join(own, joined, JoinSoft());
    if (threadIdx.x == 0) losses[blockIdx.x] = logf(all.sum) + all.max - (load(row[target]) + (bias ? bias[target] : 0.0f));
    if (!is_trained) return;
    __syncthreads();
    const float share_of = scale / all.sum;
    for (int c = NEIGHBOURS * threadIdx.x; c < stride; c += NEIGHBOURS * LOSS_THREADS) {
        float x[NEIGHBOURS];
        load_group<NEIGHBOURS>(row + c, x);
        for (int j = 0; j < NEIGHBOURS; j++) {
            const bool is_there = c + j < vocabulary;
            const float logit = x[j] + (is_there && bias ? bias[c + j] : 0.0f);
            x[j] = is_there ? share_of * quick_exp(logit - all.max) - (c + j == target ? scale : 0.0f) : 0.0f;
        }
        store_group<NEIGHBOURS>(row + c, x);
    }
}

// to = the mean of the losses, in double precision // losses (count)
KERNEL(mean_loss, 512, double* to, const float* losses, int count) {
    SHARED double joined[LOSS_THREADS];
    double sum = 0.0;
    for (int i = threadIdx.x; i < count; i += LOSS_THREADS) sum += losses[i];
    sum = block_join(sum, joined, JoinSum());
    if (threadIdx.x == 0) *to = sum / count;
}

constexpr int SQUARES = 8192;  // elements of a block

// One sum of squares per block // values (n), partials (blocks)
KERNEL(squares, 512, double* partials, const float* values, u64 n) {
    SHARED double joined[LOSS_THREADS];
    const u64 first = (u64)blockIdx.x * SQUARES;
    const u64 end = first + SQUARES < n ? first + SQUARES : n;
    double sum = 0.0;
    for (u64 i = first + threadIdx.x; i < end; i += LOSS_THREADS) sum += (double)values[i] * values[i];
    sum = block_join(sum, joined, JoinSum());
    if (threadIdx.x == 0) partials[blockIdx.x] = sum;
}

// to = the sum of the partial sums // partials (count)
KERNEL(sum_partials, 512, double* to, const double* partials, int count) {
    SHARED double joined[LOSS_THREADS];
    double sum = 0.0;
    for (int i = threadIdx.x; i < count; i += LOSS_THREADS) sum += partials[i];
    sum = block_join(sum, joined, JoinSum());
    if (threadIdx.x == 0) *to = sum;
}

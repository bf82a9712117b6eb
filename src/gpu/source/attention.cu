// Multi-head attention, flash style: scores exist in registers only and are computed again on the way back from the kept
// log-sum-exp of each row. These are the plain kernels, for every element type and head: one warp has one query, or one
// key. `attention_tensor.cu` has those for the tensor cores.
//
// qkv (rows, 3 * heads * HEAD): queries, keys, values of all heads; out (rows, heads * HEAD); lse, delta (batch, heads,
// context). Under a causal mask a query sees the keys up to itself and, within a sequence's prefix, all of that.

#define HEAD_SCALE (1.0f / sqrtf((float)HEAD))

constexpr int OWN = (HEAD + LANES - 1) / LANES;  // elements of a head's row that a lane owns

// One head of one sequence.
struct Head {
    int index, context, heads, prefix;
    bool is_causal;

    DEVICE Head(int index, int context, int heads, const u32* prefixes, int is_causal)
        : index(index), context(context), heads(heads), prefix(prefixes ? prefixes[index / heads] : 0),
          is_causal(is_causal) {}

    DEVICE size_t row(int t) const {
        return (size_t)(index / heads) * context + t;
    }

    // Where a row of queries (part 0), keys (1) or values (2) begins.
    DEVICE size_t qkv(int part, int t) const {
        return (row(t) * 3 + part) * heads * HEAD + (index % heads) * HEAD;
    }

    DEVICE size_t out(int t) const {
        return row(t) * heads * HEAD + (index % heads) * HEAD;
    }

    DEVICE size_t statistic(int t) const {
        return (size_t)index * context + t;
    }

    // How many keys, from the first on, a query sees.
    DEVICE int seen(int query) const {
        return is_causal ? min(context, max(query + 1, prefix)) : context;
    }

    // The first query that sees a key.
    DEVICE int first_query(int key) const {
        return is_causal && key >= prefix ? key : 0;
    }
};

template <typename T>
DEVICE float dot(const T* a, const T* b) {
    float sum = 0.0f;
    for (int i = 0; i < HEAD; i++) sum += load(a[i]) * load(b[i]);
    return sum;
}

// The elements of a head's row that this lane owns.
struct Part {
    float v[OWN];

    DEVICE Part() {
        for (int i = 0; i < OWN; i++) v[i] = 0.0f;
    }

    template <typename T>
    DEVICE void add(float factor, const T* row) {
        for (int i = 0; i < OWN; i++)
            if (i * LANES + lane_index() < HEAD) v[i] += factor * load(row[i * LANES + lane_index()]);
    }

    template <typename T>
    DEVICE void write(float factor, T* row) const {
        for (int i = 0; i < OWN; i++)
            if (i * LANES + lane_index() < HEAD) store(row + i * LANES + lane_index(), factor * v[i]);
    }
};

constexpr int ATTENTION_WARPS = 4;  // queries or keys of a block

KERNEL(attention_forward, 128, STORE* out, float* lse, const STORE* qkv, const u32* prefixes, int context, int heads,
       int is_causal) {
    const Head head(blockIdx.y, context, heads, prefixes, is_causal);
    const int query = blockIdx.x * ATTENTION_WARPS + warp_index();
    if (query >= context) return;
    const int seen = head.seen(query);
    float max = -INFINITY, sum = 0.0f;
    Part mixed;
    for (int first = 0; first < seen; first += LANES) {
        const int key = first + lane_index();
        const float score =
            key < seen ? HEAD_SCALE * dot(qkv + head.qkv(0, query), qkv + head.qkv(1, key)) : -INFINITY;
        const float before = max;
        max = fmaxf(max, warp_max(score));
        const float share = expf(score - max), kept = expf(before - max);
        sum = sum * kept + warp_sum(share);
        for (int i = 0; i < OWN; i++) mixed.v[i] *= kept;
        for (int i = 0; i < LANES && first + i < seen; i++)
            mixed.add(__shfl_sync(ALL, share, i), qkv + head.qkv(2, first + i));
    }
    mixed.write(1.0f / sum, out + head.out(query));
    if (lane_index() == 0) lse[head.statistic(query)] = max + logf(sum);
}

// delta = the sum of d_out * out over a head's row: what the softmax's backward pass takes off.
KERNEL(attention_delta, 128, float* delta, const STORE* d_out, const STORE* out, int context, int heads) {
    const Head head(blockIdx.y, context, heads, nullptr, 0);
    const int query = blockIdx.x * ATTENTION_WARPS + warp_index();
    if (query >= context) return;
    float sum = 0.0f;
    for (int i = lane_index(); i < HEAD; i += LANES)
        sum += load(d_out[head.out(query) + i]) * load(out[head.out(query) + i]);
    sum = warp_sum(sum);
    if (lane_index() == 0) delta[head.statistic(query)] = sum;
}

KERNEL(attention_backward_queries, 128, STORE* d_qkv, const STORE* d_out, const STORE* qkv, const float* lse,
       const float* delta, const u32* prefixes, int context, int heads, int is_causal) {
    const Head head(blockIdx.y, context, heads, prefixes, is_causal);
    const int query = blockIdx.x * ATTENTION_WARPS + warp_index();
    if (query >= context) return;
    const int seen = head.seen(query);
    const float log_sum = lse[head.statistic(query)], taken = delta[head.statistic(query)];
    Part d;
    for (int first = 0; first < seen; first += LANES) {
        const int key = first + lane_index();
        float d_score = 0.0f;
        if (key < seen) {
            const float score = HEAD_SCALE * dot(qkv + head.qkv(0, query), qkv + head.qkv(1, key));
            const float d_share = dot(d_out + head.out(query), qkv + head.qkv(2, key));
            d_score = expf(score - log_sum) * (d_share - taken) * HEAD_SCALE;
        }
        for (int i = 0; i < LANES && first + i < seen; i++)
            d.add(__shfl_sync(ALL, d_score, i), qkv + head.qkv(1, first + i));
    }
    d.write(1.0f, d_qkv + head.qkv(0, query));
}

KERNEL(attention_backward_keys, 128, STORE* d_qkv, const STORE* d_out, const STORE* qkv, const float* lse,
       const float* delta, const u32* prefixes, int context, int heads, int is_causal) {
    const Head head(blockIdx.y, context, heads, prefixes, is_causal);
    const int key = blockIdx.x * ATTENTION_WARPS + warp_index();
    if (key >= context) return;
    Part d_key, d_value;
    for (int first = head.first_query(key); first < context; first += LANES) {
        const int query = first + lane_index();
        float share = 0.0f, d_score = 0.0f;
        if (query < context && key < head.seen(query)) {
            const float score = HEAD_SCALE * dot(qkv + head.qkv(0, query), qkv + head.qkv(1, key));
            const float d_share = dot(d_out + head.out(query), qkv + head.qkv(2, key));
            share = expf(score - lse[head.statistic(query)]);
            d_score = share * (d_share - delta[head.statistic(query)]) * HEAD_SCALE;
        }
        for (int i = 0; i < LANES && first + i < context; i++) {
            d_value.add(__shfl_sync(ALL, share, i), d_out + head.out(first + i));
            d_key.add(__shfl_sync(ALL, d_score, i), qkv + head.qkv(0, first + i));
        }
    }
    d_key.write(1.0f, d_qkv + head.qkv(1, key));
    d_value.write(1.0f, d_qkv + head.qkv(2, key));
}

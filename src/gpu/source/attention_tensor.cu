// Attention on the tensor cores: bf16 products of 16 x 8 x 16 with f32 sums. A block has 64 queries (or, for the gradients
// of keys and values, 64 keys), each of its four warps 16 of them, and walks over tiles of 64 keys (or queries) that are
// fetched into shared memory while the tile before is worked on. Nothing is summed across blocks, so every run gives the
// same bits; but for the one kernel that says so. Only compiled where STORE is bf16 and HEAD a multiple of 16.

#if HEAD % 16 == 0 && HEAD <= 128

constexpr int TILE = 64;
constexpr int PITCH = HEAD + 8;  // of a tile's rows: neighbouring rows in other banks
constexpr int DEPTH = HEAD / 16;
constexpr int STAGES = HEAD <= 64 ? 2 : 1;  // tiles at hand: static shared memory ends at 48 KiB

struct alignas(16) Tile {
    bf16 v[TILE * PITCH];

    DEVICE bf16* at(int row, int column) {
        return v + row * PITCH + column;
    }

    DEVICE const bf16* at(int row, int column) const {
        return v + row * PITCH + column;
    }
};

// 16 bytes from global to shared memory, without waiting; zeros if there is nothing to fetch.
DEVICE void fetch16(bf16* to, const bf16* from, bool is_there) {
#ifdef ON_HOST
    if (is_there)
        memcpy(to, from, 16);
    else
        memset(to, 0, 16);
#else
    const u32 address = (u32)__cvta_generic_to_shared(to);
    const int bytes = is_there ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from), "r"(bytes) : "memory");
#endif
}

DEVICE void end_fetch() {
#ifndef ON_HOST
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Waits until all fetches but the newest `open` groups are done, for the whole block.
template <int open>
DEVICE void await_fetch() {
#ifndef ON_HOST
    asm volatile("cp.async.wait_group %0;" ::"n"(open) : "memory");
#endif
    __syncthreads();
}

// Fetches 64 rows of a head, zeros behind the last // from: row `first`, rows `stride` apart
DEVICE void fetch_tile(Tile& tile, const bf16* from, size_t stride, int rows) {
    constexpr int PIECES = HEAD / 8;
    for (int i = threadIdx.x; i < TILE * PIECES; i += 128) {
        const int row = i / PIECES, piece = i % PIECES;
        const bool is_there = row < rows;
        fetch16(tile.at(row, piece * 8), from + (is_there ? row * stride : 0) + piece * 8, is_there);
    }
}

// Four 8 x 8 matrices from shared memory, of which lane l names the row l % 8 of number l / 8; each lane gets two
// neighbours of each, transposed if asked.
template <bool is_transposed>
DEVICE void load_matrices(u32 (&x)[4], const bf16* row) {
#ifdef ON_HOST
    host_load_matrices(x, row, is_transposed);
#else
    const u32 address = (u32)__cvta_generic_to_shared(row);
    if (is_transposed)
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3]) : "r"(address) : "memory");
    else
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3]) : "r"(address) : "memory");
#endif
}

// sum (16, 8) += a (16, 16) * b (16, 8)
DEVICE void multiply(float (&sum)[4], const u32 (&a)[4], u32 b0, u32 b1) {
#ifdef ON_HOST
    host_multiply(sum, a, b0, b1);
#else
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#endif
}

// This warp's 16 rows of a tile, as left factors.
struct Left {
    u32 v[DEPTH][4];

    DEVICE void read(const Tile& tile) {
        const int lane = lane_index();
        const int row = warp_index() * 16 + lane % 8 + 8 * (lane / 8 % 2), column = 8 * (lane / 16);
        for (int k = 0; k < DEPTH; k++) load_matrices<false>(v[k], tile.at(row, k * 16 + column));
    }
};

// 16 rows by 64 columns of scores: in [n][0] and [n][1] row lane / 4, in [n][2] and [n][3] eight rows on; columns
// 8 n + 2 (lane % 4) and the next.
struct Scores {
    float v[TILE / 8][4];

    // = left * tile transposed
    DEVICE void multiply_rows(const Left& left, const Tile& tile) {
        const int lane = lane_index();
        const int row = lane % 8 + 8 * (lane / 16), column = 8 * (lane / 8 % 2);
#pragma unroll
        for (int n = 0; n < TILE / 8; n++)
            for (int i = 0; i < 4; i++) v[n][i] = 0.0f;
#pragma unroll
        for (int k = 0; k < DEPTH; k++)
#pragma unroll
            for (int n = 0; n < TILE / 16; n++) {
                u32 b[4];
                load_matrices<false>(b, tile.at(n * 16 + row, k * 16 + column));
                multiply(v[2 * n], left.v[k], b[0], b[1]);
                multiply(v[2 * n + 1], left.v[k], b[2], b[3]);
            }
    }
};

// Adds two neighbours to what other blocks add to, in whatever order.
DEVICE void add_pair(float* to, float x, float y) {
#ifdef ON_HOST
    to[0] += x;
    to[1] += y;
#elif __CUDA_ARCH__ >= 900 && (__CUDACC_VER_MAJOR__ > 12 || __CUDACC_VER_MINOR__ >= 1)
    atomicAdd(reinterpret_cast<float2*>(to), make_float2(x, y));
#else
    atomicAdd(to, x);
    atomicAdd(to + 1, y);
#endif
}

// 16 rows of a head, summed up.
struct Sum {
    float v[HEAD / 8][4];

    DEVICE Sum() {
        for (int n = 0; n < HEAD / 8; n++)
            for (int i = 0; i < 4; i++) v[n][i] = 0.0f;
    }

    // += a (16, 16) * the tile's rows from 16 k on (16, HEAD)
    DEVICE void add_rows(const u32 (&a)[4], const Tile& tile, int k) {
        const int lane = lane_index();
        const int row = lane % 8 + 8 * (lane / 8 % 2), column = 8 * (lane / 16);
#pragma unroll
        for (int n = 0; n < DEPTH; n++) {
            u32 b[4];
            load_matrices<true>(b, tile.at(k * 16 + row, n * 16 + column));
            multiply(v[2 * n], a, b[0], b[1]);
            multiply(v[2 * n + 1], a, b[2], b[3]);
        }
    }

    // += scores (16, 64) * tile (64, HEAD)
    DEVICE void add_product(const Scores& scores, const Tile& tile) {
#pragma unroll
        for (int k = 0; k < TILE / 16; k++) {
            const float(&low)[4] = scores.v[2 * k];
            const float(&high)[4] = scores.v[2 * k + 1];
            const u32 a[4] = {pack(low[0], low[1]), pack(low[2], low[3]), pack(high[0], high[1]), pack(high[2], high[3])};
            add_rows(a, tile, k);
        }
    }

    // Adds the rows that there are to what other blocks add to // to: this warp's first row
    DEVICE void add_to(float* to, size_t stride, int rows) const {
        const int row = lane_index() / 4, column = 2 * (lane_index() % 4);
#pragma unroll
        for (int n = 0; n < HEAD / 8; n++) {
            if (row < rows) add_pair(to + row * stride + n * 8 + column, v[n][0], v[n][1]);
            if (row + 8 < rows) add_pair(to + (row + 8) * stride + n * 8 + column, v[n][2], v[n][3]);
        }
    }

    // Writes the rows that there are, times the factors of the upper and the lower row // to: this warp's first row
    DEVICE void write(bf16* to, size_t stride, int rows, float upper, float lower) const {
        const int row = lane_index() / 4, column = 2 * (lane_index() % 4);
#pragma unroll
        for (int n = 0; n < HEAD / 8; n++) {
            if (row < rows)
                *reinterpret_cast<u32*>(to + row * stride + n * 8 + column) = pack(v[n][0] * upper, v[n][1] * upper);
            if (row + 8 < rows)
                *reinterpret_cast<u32*>(to + (row + 8) * stride + n * 8 + column) =
                    pack(v[n][2] * lower, v[n][3] * lower);
        }
    }
};

// Over the four lanes that share a row.
DEVICE float quad_sum(float x) {
    x += __shfl_xor_sync(ALL, x, 1);
    return x + __shfl_xor_sync(ALL, x, 2);
}

DEVICE float quad_max(float x) {
    x = fmaxf(x, __shfl_xor_sync(ALL, x, 1));
    return fmaxf(x, __shfl_xor_sync(ALL, x, 2));
}

// Two tiles from the same rows of two matrices, in turn from two stages.
struct Pipeline {
    const bf16 *a, *b;  // row 0
    size_t stride_a, stride_b;
    int rows;

    DEVICE void fetch(Tile& tile_a, Tile& tile_b, int first) const {
        fetch_tile(tile_a, a + first * stride_a, stride_a, rows - first);
        fetch_tile(tile_b, b + first * stride_b, stride_b, rows - first);
        end_fetch();
    }
};

// Calls work(tile of a, tile of b, first row) for the tiles that begin at first, first + 64, ... before end.
template <typename Work>
DEVICE void for_tiles(Tile (&tiles_a)[STAGES], Tile (&tiles_b)[STAGES], const Pipeline& from, int first, int end,
                      Work work) {
    __syncthreads();
    if (STAGES == 2 && first < end) from.fetch(tiles_a[0], tiles_b[0], first);
    int stage = 0;
    for (; first < end; first += TILE) {
        if (STAGES == 1) {
            from.fetch(tiles_a[0], tiles_b[0], first);
            await_fetch<0>();
        } else if (first + TILE < end) {
            from.fetch(tiles_a[(stage + 1) % STAGES], tiles_b[(stage + 1) % STAGES], first + TILE);
            await_fetch<1>();
        } else {
            await_fetch<0>();
        }
        work(tiles_a[stage], tiles_b[stage], first);
        __syncthreads();
        stage = (stage + 1) % STAGES;
    }
}

// Grid: tiles of queries, the longest rows first, by heads.
KERNEL(attention_forward_tensor, 128, bf16* out, float* lse, const bf16* qkv, const u32* prefixes, int context,
       int heads, int is_causal) {
    SHARED Tile keys[STAGES];
    SHARED Tile values[STAGES];
    const Head head(blockIdx.y, context, heads, prefixes, is_causal);
    const int tile = gridDim.x - 1 - blockIdx.x, first_query = tile * TILE;
    const size_t stride = (size_t)3 * heads * HEAD;
    const int own = first_query + warp_index() * 16 + lane_index() / 4;  // and own + 8
    Left queries;
    fetch_tile(keys[0], qkv + head.qkv(0, first_query), stride, context - first_query);
    end_fetch();
    await_fetch<0>();
    queries.read(keys[0]);
    const float scale = HEAD_SCALE * LOG2_E;
    float max[2] = {-INFINITY, -INFINITY}, sum[2] = {0.0f, 0.0f};
    const int seen[2] = {head.seen(min(own, context - 1)), head.seen(min(own + 8, context - 1))};
    Sum mixed;
    const Pipeline from = {qkv + head.qkv(1, 0), qkv + head.qkv(2, 0), stride, stride, context};
    const int end = head.seen(min(first_query + TILE, context) - 1), all_seen = head.seen(first_query);
    for_tiles(keys, values, from, 0, end, [&](const Tile& keys, const Tile& values, int first) {
        Scores scores;
        scores.multiply_rows(queries, keys);
        if (first + TILE > all_seen)
            for (int n = 0; n < TILE / 8; n++)
                for (int i = 0; i < 4; i++)
                    if (first + n * 8 + 2 * (lane_index() % 4) + i % 2 >= seen[i / 2]) scores.v[n][i] = -INFINITY;
        for (int half = 0; half < 2; half++) {
            float now = max[half];
            for (int n = 0; n < TILE / 8; n++) now = fmaxf(now, fmaxf(scores.v[n][2 * half], scores.v[n][2 * half + 1]));
            now = quad_max(now);
            const float kept = quick_exp2((max[half] - now) * scale);
            max[half] = now;
            sum[half] *= kept;
            for (int n = 0; n < HEAD / 8; n++) {
                mixed.v[n][2 * half] *= kept;
                mixed.v[n][2 * half + 1] *= kept;
            }
            for (int n = 0; n < TILE / 8; n++)
                for (int i = 2 * half; i < 2 * half + 2; i++) {
                    scores.v[n][i] = quick_exp2(fmaf(scores.v[n][i], scale, -now * scale));
                    sum[half] += scores.v[n][i];
                }
        }
        mixed.add_product(scores, values);
    });
    for (int half = 0; half < 2; half++) {
        sum[half] = quad_sum(sum[half]);
        const int query = own + 8 * half;
        if (query < context && lane_index() % 4 == 0)
            lse[head.statistic(query)] = max[half] * HEAD_SCALE + logf(sum[half]);
    }
    const int first = first_query + warp_index() * 16;
    if (first < context)
        mixed.write(out + head.out(first), (size_t)heads * HEAD, context - first, 1.0f / sum[0], 1.0f / sum[1]);
}

KERNEL(attention_backward_queries_tensor, 128, bf16* d_qkv, const bf16* d_out, const bf16* qkv, const float* lse,
       const float* delta, const u32* prefixes, int context, int heads, int is_causal) {
    SHARED Tile keys[STAGES];
    SHARED Tile values[STAGES];
    const Head head(blockIdx.y, context, heads, prefixes, is_causal);
    const int tile = gridDim.x - 1 - blockIdx.x, first_query = tile * TILE;
    const size_t stride = (size_t)3 * heads * HEAD;
    const int own = first_query + warp_index() * 16 + lane_index() / 4;
    Left queries, d_mixed;
    fetch_tile(keys[0], qkv + head.qkv(0, first_query), stride, context - first_query);
    fetch_tile(values[0], d_out + head.out(first_query), stride / 3, context - first_query);
    end_fetch();
    await_fetch<0>();
    queries.read(keys[0]);
    d_mixed.read(values[0]);
    int seen[2];
    float log_sum[2], taken[2];
    for (int half = 0; half < 2; half++) {
        const int query = min(own + 8 * half, context - 1);
        seen[half] = head.seen(query);
        log_sum[half] = lse[head.statistic(query)] * LOG2_E;
        taken[half] = delta[head.statistic(query)];
    }
    Sum d;
    const Pipeline from = {qkv + head.qkv(1, 0), qkv + head.qkv(2, 0), stride, stride, context};
    const int end = head.seen(min(first_query + TILE, context) - 1), all_seen = head.seen(first_query);
    const float scale = HEAD_SCALE * LOG2_E;
    for_tiles(keys, values, from, 0, end, [&](const Tile& keys, const Tile& values, int first) {
        Scores scores, d_shares;
        scores.multiply_rows(queries, keys);
        d_shares.multiply_rows(d_mixed, values);
        const bool is_all_seen = first + TILE <= all_seen;
        for (int n = 0; n < TILE / 8; n++)
            for (int i = 0; i < 4; i++) {
                const int key = first + n * 8 + 2 * (lane_index() % 4) + i % 2;
                const float share = quick_exp2(fmaf(scores.v[n][i], scale, -log_sum[i / 2]));
                const bool is_seen = is_all_seen || key < seen[i / 2];
                scores.v[n][i] = is_seen ? share * (d_shares.v[n][i] - taken[i / 2]) * HEAD_SCALE : 0.0f;
            }
        d.add_product(scores, keys);
    });
    const int first = first_query + warp_index() * 16;
    if (first < context) d.write(d_qkv + head.qkv(0, first), stride, context - first, 1.0f, 1.0f);
}

// 64 x 64 gradients of scores, a row for each key, on their way from the warps that have the keys to those that have the
// queries.
struct alignas(16) Exchange {
    bf16 v[TILE * (TILE + 8)];

    DEVICE bf16* at(int key, int query) {
        return v + key * (TILE + 8) + query;
    }

    // This warp's 16 keys.
    DEVICE void write(const Scores& d_scores) {
        const int row = warp_index() * 16 + lane_index() / 4, column = 2 * (lane_index() % 4);
#pragma unroll
        for (int n = 0; n < TILE / 8; n++) {
            *reinterpret_cast<u32*>(at(row, n * 8 + column)) = pack(d_scores.v[n][0], d_scores.v[n][1]);
            *reinterpret_cast<u32*>(at(row + 8, n * 8 + column)) = pack(d_scores.v[n][2], d_scores.v[n][3]);
        }
    }

    // 16 queries by 16 keys, from 16 k on, as a left factor.
    DEVICE void read(u32 (&a)[4], int k) {
        const int lane = lane_index();
        load_matrices<true>(a, at(k * 16 + lane % 8 + 8 * (lane / 16), warp_index() * 16 + 8 * (lane / 8 % 2)));
    }
};

// The gradients of keys and values. With d_queries, also those of queries, added to what is there // f32 (rows, heads * HEAD);
// `own` and, where an exchange doesn't fit into a tile, `exchange` are shared memory for that.
template <bool has_queries>
DEVICE void backward_keys(bf16* d_qkv, float* d_queries, Tile* own, Exchange* exchange, const bf16* d_out, const bf16* qkv,
                          const float* lse, const float* delta, const u32* prefixes, int context, int heads,
                          int is_causal) {
    SHARED Tile queries[STAGES];
    SHARED Tile d_mixed[STAGES];
    SHARED float log_sums[TILE];
    SHARED float taken[TILE];
    const Head head(blockIdx.y, context, heads, prefixes, is_causal);
    const int first_key = blockIdx.x * TILE;
    const size_t stride = (size_t)3 * heads * HEAD;
    const int own_key = first_key + warp_index() * 16 + lane_index() / 4;
    Tile& key_tile = has_queries ? *own : queries[0];
    Left keys, values;
    fetch_tile(key_tile, qkv + head.qkv(1, first_key), stride, context - first_key);
    fetch_tile(d_mixed[0], qkv + head.qkv(2, first_key), stride, context - first_key);
    end_fetch();
    await_fetch<0>();
    keys.read(key_tile);
    values.read(d_mixed[0]);
    Sum d_keys, d_values;
    const Pipeline from = {qkv + head.qkv(0, 0), d_out + head.out(0), stride, stride / 3, context};
    const int start = head.first_query(first_key) / TILE * TILE;
    const float scale = HEAD_SCALE * LOG2_E;
    for_tiles(queries, d_mixed, from, start, context, [&](Tile& queries, Tile& d_mixed, int first) {
        // Asked for before the products, and there when they are done.
        float log_sum = 0.0f, delta_of = 0.0f;
        if (threadIdx.x < TILE) {
            const int query = min(first + (int)threadIdx.x, context - 1);
            log_sum = lse[head.statistic(query)] * LOG2_E;
            delta_of = delta[head.statistic(query)];
        }
        // Transposed: a row is a key, a column a query.
        Scores shares, d_scores;
        shares.multiply_rows(keys, queries);
        d_scores.multiply_rows(values, d_mixed);
        if (threadIdx.x < TILE) {
            log_sums[threadIdx.x] = log_sum;
            taken[threadIdx.x] = delta_of;
        }
        __syncthreads();
        // By the first query; those behind it see more. Rows of keys that there are not are nobody's, unless they are exchanged.
        const int end_key = has_queries ? first_key + TILE : min(first_key + TILE, context);
        const bool is_all_seen = first + TILE <= context && end_key <= head.seen(first);
        for (int n = 0; n < TILE / 8; n++)
            for (int i = 0; i < 4; i++) {
                const int column = n * 8 + 2 * (lane_index() % 4) + i % 2, query = first + column;
                const bool is_seen = is_all_seen || (query < context && own_key + 8 * (i / 2) < head.seen(query));
                const float share = quick_exp2(fmaf(shares.v[n][i], scale, -log_sums[column]));
                shares.v[n][i] = is_seen ? share : 0.0f;
                d_scores.v[n][i] = shares.v[n][i] * (d_scores.v[n][i] - taken[column]) * HEAD_SCALE;
            }
        d_values.add_product(shares, d_mixed);
        d_keys.add_product(d_scores, queries);
        if constexpr (has_queries) {
            // A tile that has been read has room for the exchange where heads are 64 wide.
            if constexpr (sizeof(Exchange) == sizeof(Tile)) exchange = reinterpret_cast<Exchange*>(&d_mixed);
            __syncthreads();
            exchange->write(d_scores);
            __syncthreads();
            Sum d;
#pragma unroll
            for (int k = 0; k < TILE / 16; k++) {
                u32 a[4];
                exchange->read(a, k);
                d.add_rows(a, key_tile, k);
            }
            const int query = first + warp_index() * 16;
            if (query < context) d.add_to(d_queries + head.out(query), (size_t)heads * HEAD, context - query);
        }
    });
    const int first = first_key + warp_index() * 16;
    if (first < context) {
        d_keys.write(d_qkv + head.qkv(1, first), stride, context - first, 1.0f, 1.0f);
        d_values.write(d_qkv + head.qkv(2, first), stride, context - first, 1.0f, 1.0f);
    }
}

// Grid: tiles of keys, the first (which most queries see) first, by heads.
KERNEL(attention_backward_keys_tensor, 128, bf16* d_qkv, const bf16* d_out, const bf16* qkv, const float* lse,
       const float* delta, const u32* prefixes, int context, int heads, int is_causal) {
    backward_keys<false>(d_qkv, nullptr, nullptr, nullptr, d_out, qkv, lse, delta, prefixes, context, heads, is_causal);
}

// All three gradients in one pass: five products for each pair of tiles instead of seven in two kernels. What blocks add to a
// query's gradient is added in the order they come to it, so its last bits differ from run to run. d_queries must be zeros,
// and is again behind `attention_take_queries`, which puts it where it belongs. Heads of at most 64: shared memory.
#if HEAD <= 64
KERNEL(attention_backward_tensor, 128, bf16* d_qkv, float* d_queries, const bf16* d_out, const bf16* qkv, const float* lse,
       const float* delta, const u32* prefixes, int context, int heads, int is_causal) {
    SHARED Tile own;
#if HEAD < 64
    SHARED Exchange own_exchange;
    Exchange* const exchange = &own_exchange;
#else
    Exchange* const exchange = nullptr;
#endif
    backward_keys<true>(d_qkv, d_queries, &own, exchange, d_out, qkv, lse, delta, prefixes, context, heads, is_causal);
}

// d_queries (rows, heads * HEAD), d_qkv (rows, 3 * heads * HEAD); four neighbours a thread
KERNEL(attention_take_queries, 256, bf16* d_qkv, float* d_queries, u32 rows, u32 width) {
    const u32 at = (blockIdx.x * 256 + threadIdx.x) * 4;
    if (at >= rows * width) return;
    float x[4];
    const float zeros[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    load_group<4>(d_queries + at, x);
    store_group<4>(d_queries + at, zeros);
    store_group<4>(d_qkv + (size_t)(at / width) * 3 * width + at % width, x);
}
#endif

#endif

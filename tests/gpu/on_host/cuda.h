// The kernels on a CPU: what of CUDA they use, as plain C++, so that their very text can be tested without a GPU. Each
// thread of a block is a fiber with a stack of its own; blocks run one after the other. `__syncthreads` and everything
// that lanes of a warp do together are barriers, at which fibers wait for one another as threads would. A launch can take
// the threads in reverse: where that changes a bit, a barrier is missing.
#define ON_HOST
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <algorithm>
#include <tuple>
#include <utility>

using std::max;
using std::min;

struct Index {
    unsigned x, y;
};

// As `host::Launch` in Rust has it.
struct Launch {
    unsigned grid_x, grid_y, threads, is_greedy;
};

struct Barrier {
    int expected, arrived;
    long generation;
};

constexpr int MOST_THREADS = 512, STACK = 256 << 10;

struct Fiber {
    jmp_buf at;
    bool is_started, is_over;
    // Of the block's barrier that it waits at, or -1.
    long waits_for;
};

struct Warp {
    Barrier barrier;
    unsigned word[2][32];
    const unsigned short* row[2][32];
    unsigned fragment[2][32][6];
    int turn[32];
};

struct Block {
    Fiber fibers[MOST_THREADS];
    Warp warps[MOST_THREADS / 32];
    Barrier barrier;
    jmp_buf scheduler;
    int current, threads;
    void (*run)(void*);
    void* with;
};

static thread_local Block* block;
static thread_local char* stacks;
static thread_local Index threadIdx, blockIdx, gridDim;

static void yield_fiber() {
    Fiber& own = block->fibers[block->current];
    if (_setjmp(own.at) == 0) _longjmp(block->scheduler, 1);
    threadIdx.x = block->current;
}

static void release_if_full(Barrier& b) {
    if (b.expected > 0 && b.arrived == b.expected) {
        b.arrived = 0;
        b.generation++;
    }
}

static void wait_at(Barrier& b) {
    const long generation = b.generation;
    b.arrived++;
    release_if_full(b);
    Fiber& own = block->fibers[block->current];
    if (&b == &block->barrier) own.waits_for = generation;
    while (b.generation == generation) yield_fiber();
    own.waits_for = -1;
}

static Warp& own_warp() {
    return block->warps[block->current / 32];
}

static void __syncthreads() {
    wait_at(block->barrier);
}

static void start_fiber() {
    threadIdx.x = block->current;
    block->run(block->with);
    block->fibers[block->current].is_over = true;
    block->barrier.expected--;
    release_if_full(block->barrier);
    own_warp().barrier.expected--;
    release_if_full(own_warp().barrier);
    _longjmp(block->scheduler, 1);
}

// Runs a fiber until it waits or ends.
static void resume(int index) {
    static thread_local ucontext_t context, back;
    Block& b = *block;
    b.current = index;
    Fiber& fiber = b.fibers[index];
    if (_setjmp(b.scheduler) != 0) return;
    if (fiber.is_started) _longjmp(fiber.at, 1);
    fiber.is_started = true;
    getcontext(&context);
    context.uc_stack.ss_sp = stacks + (size_t)index * STACK;
    context.uc_stack.ss_size = STACK;
    context.uc_link = &back;
    makecontext(&context, start_fiber, 0);
    setcontext(&context);
}

static bool can_go_on(int index) {
    const Fiber& fiber = block->fibers[index];
    return !fiber.is_over && (fiber.waits_for < 0 || fiber.waits_for != block->barrier.generation);
}

// Runs some fibers in turns until none can go on.
static bool run_fibers(int first, int end) {
    bool has_run = false;
    for (bool is_open = true; is_open;) {
        is_open = false;
        for (int i = first; i < end; i++)
            if (can_go_on(i)) {
                resume(i);
                is_open = has_run = true;
            }
    }
    return has_run;
}

static void run_block(const Launch& launch) {
    Block& b = *block;
    b.threads = launch.threads;
    b.barrier = {(int)launch.threads, 0, 0};
    const int warps = (b.threads + 31) / 32;
    for (int w = 0; w < warps; w++) {
        b.warps[w].barrier = {min(32, b.threads - 32 * w), 0, 0};
        memset(b.warps[w].turn, 0, sizeof b.warps[w].turn);
    }
    for (int i = 0; i < b.threads; i++) {
        b.fibers[i] = Fiber();
        b.fibers[i].waits_for = -1;
    }
    if (!launch.is_greedy) {
        run_fibers(0, b.threads);
        return;
    }
    for (bool is_open = true; is_open;) {
        is_open = false;
        for (int w = warps - 1; w >= 0; w--) is_open |= run_fibers(32 * w, min(b.threads, 32 * w + 32));
    }
}

template <typename... A, size_t... I>
static void call(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
    kernel(*static_cast<A*>(arguments[I])...);
}

template <typename... A>
struct Call {
    void (*kernel)(A...);
    void** arguments;

    static void run(void* self) {
        const Call* c = static_cast<Call*>(self);
        call(c->kernel, c->arguments, std::index_sequence_for<A...>());
    }
};

template <typename... A>
static void launch_kernel(const Launch* launch, void (*kernel)(A...), void** arguments) {
    if (!block) block = static_cast<Block*>(malloc(sizeof(Block)));
    if (!stacks) stacks = static_cast<char*>(malloc((size_t)MOST_THREADS * STACK));
    Call<A...> call = {kernel, arguments};
    block->run = Call<A...>::run;
    block->with = &call;
    gridDim = {launch->grid_x, launch->grid_y};
    for (unsigned y = 0; y < launch->grid_y; y++)
        for (unsigned x = 0; x < launch->grid_x; x++) {
            blockIdx = {x, y};
            run_block(*launch);
        }
}

template <typename... A>
static int sizes_of(void (*)(A...), int* sizes) {
    const int all[] = {(int)sizeof(A)...};
    memcpy(sizes, all, sizeof all);
    return sizeof...(A);
}

// A kernel is exported under its name, as a launch of it, -1 for another number of threads than it is for; and its arguments'
// sizes.
#define KERNEL(name, most, ...)                                             \
    static void kernel_##name(__VA_ARGS__);                                 \
    extern "C" __attribute__((visibility("default")))                       \
    int name(const Launch* launch, void** arguments) {                      \
        if (launch->threads != most) return -1;                             \
        launch_kernel(launch, kernel_##name, arguments);                    \
        return 0;                                                           \
    }                                                                       \
    extern "C" __attribute__((visibility("default")))                       \
    int name##_sizes(int* sizes) {                                          \
        return sizes_of(kernel_##name, sizes);                              \
    }                                                                       \
    static void kernel_##name(__VA_ARGS__)
#define DEVICE inline
// One block at a time runs on a thread of the system.
#define SHARED static thread_local

static float __uint_as_float(unsigned bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

static unsigned host_round(float x) {
    unsigned bits;
    memcpy(&bits, &x, 4);
    if ((bits & 0x7fffffff) > 0x7f800000) return bits >> 16 | 0x40;
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16 & 0xffff;
}

// What the lane has put down for this exchange, the others' beside it. Two sets in turn: a lane can't come to the next but
// one before all have read this one.
static int exchange_set() {
    return own_warp().turn[block->current % 32]++ % 2;
}

static float exchange(float x, int from) {
    Warp& warp = own_warp();
    const int set = exchange_set();
    memcpy(&warp.word[set][block->current % 32], &x, 4);
    wait_at(warp.barrier);
    float other;
    memcpy(&other, &warp.word[set][from], 4);
    return other;
}

static float __shfl_xor_sync(unsigned, float x, int mask) {
    return exchange(x, block->current % 32 ^ mask);
}

static float __shfl_sync(unsigned, float x, int from) {
    return exchange(x, from);
}

// ldmatrix, four matrices of 8 x 8: PTX ISA, "Warp-level matrix load instruction: ldmatrix".
template <typename T>
static void host_load_matrices(unsigned (&x)[4], const T* row, bool is_transposed) {
    Warp& warp = own_warp();
    const int set = exchange_set(), lane = block->current % 32;
    warp.row[set][lane] = reinterpret_cast<const unsigned short*>(row);
    wait_at(warp.barrier);
    for (int i = 0; i < 4; i++) {
        const unsigned short* const* rows = warp.row[set] + 8 * i;
        const int major = lane / 4, minor = 2 * (lane % 4);
        const unsigned low = is_transposed ? rows[minor][major] : rows[major][minor];
        const unsigned high = is_transposed ? rows[minor + 1][major] : rows[major][minor + 1];
        x[i] = low | high << 16;
    }
}

// mma.m16n8k16, bf16 with f32 sums: PTX ISA, "Matrix fragments for mma.m16n8k16 with floating point type".
static void host_multiply(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    Warp& warp = own_warp();
    const int set = exchange_set(), lane = block->current % 32;
    unsigned* own = warp.fragment[set][lane];
    memcpy(own, a, 16);
    own[4] = b0;
    own[5] = b1;
    wait_at(warp.barrier);
    const auto half = [](unsigned pair, int which) { return __uint_as_float(which ? pair & 0xffff0000u : pair << 16); };
    for (int i = 0; i < 4; i++) {
        const int row = lane / 4 + 8 * (i / 2), column = 2 * (lane % 4) + i % 2;
        float total = sum[i];
        for (int k = 0; k < 16; k++) {
            const unsigned left = warp.fragment[set][row % 8 * 4 + k % 8 / 2][row / 8 + 2 * (k / 8)];
            const unsigned right = warp.fragment[set][column * 4 + k % 8 / 2][4 + k / 8];
            total += half(left, k % 2) * half(right, k % 2);
        }
        sum[i] = total;
    }
}

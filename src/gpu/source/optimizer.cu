// The end of a step: what came of it, and AdamW over a flat buffer of parameters, one pass over weights, moments and gradient,
// which also writes the copy of the weights that products read.

// What an update is told by the step's outcome, so that the host need not wait for it.
struct Control {
    float scale;   // factor on the gradient
    int is_ended;  // a step was not finite: nothing changes any more
};

// The mean of a step's losses and the 2-norm of its gradient, each rounded to f32 as the host does; and what its update is to
// do: clip to a norm of `clip` at most (0: any). // results: a sum of squares, and `count` losses
KERNEL(judge, 32, float* outcome, Control* control, const double* results, int count, double clip) {
    if (threadIdx.x > 0) return;
    double sum = 0.0;
    for (int i = 0; i < count; i++) sum += results[1 + i];
    const float loss = (float)(sum / count), norm = (float)sqrt(results[0]);
    outcome[0] = loss;
    outcome[1] = norm;
    // Not for a NaN either.
    if (!(fabsf(loss) < INFINITY && fabsf(norm) < INFINITY)) control->is_ended = 1;
    control->scale = clip > 0.0 && norm > clip ? (float)(clip / norm) : 1.0f;
}

constexpr int MOST_PARAMETERS = 16;

// Factors of all parameters of a buffer, each rounded once from double precision; parameter i ends before ends[i], a
// multiple of 4. The same layout as `launch::Factors`.
struct Factors {
    u64 ends[MOST_PARAMETERS];
    float keep[MOST_PARAMETERS], rate[MOST_PARAMETERS], root[MOST_PARAMETERS];
    float beta1, beta2, gain1, gain2, epsilon, scale;
};

// Without a gradient (null), as with one of zeros. copy may be null, and so may control. // all (n)
KERNEL(adamw, 256, float* weight, float* first, float* second, const float* gradient, STORE* copy, const Control* control,
       u64 n, Factors f) {
    if (control && control->is_ended) return;
    const float scale = control ? f.scale * control->scale : f.scale;
    const u64 at = ((u64)blockIdx.x * 256 + threadIdx.x) * 4;
    if (at >= n) return;
    int p = 0;
    while (p + 1 < MOST_PARAMETERS && at >= f.ends[p]) p++;
    float w[4], m[4], v[4], g[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    load_group<4>(weight + at, w);
    load_group<4>(first + at, m);
    load_group<4>(second + at, v);
    if (gradient) load_group<4>(gradient + at, g);
    for (int j = 0; j < 4; j++) {
        g[j] *= scale;
        m[j] = fmaf(f.beta1, m[j], f.gain1 * g[j]);
        v[j] = fmaf(f.beta2, v[j], f.gain2 * g[j] * g[j]);
        w[j] = fmaf(f.keep[p], w[j], -f.rate[p] * m[j] / fmaf(sqrtf(v[j]), f.root[p], f.epsilon));
    }
    store_group<4>(weight + at, w);
    store_group<4>(first + at, m);
    store_group<4>(second + at, v);
    if (copy) store_group<4>(copy + at, w);
}

// cuBLASLt on a CPU: products of matrices that stand column by column, and what must hold of how they are described.

enum { R_32F = 0, R_16BF = 14 };  // cudaDataType

struct Description {
    int compute, scale, transposed[2] = {0, 0}, epilogue = 1;
    unsigned long long bias = 0;
};

struct Layout {
    int type;
    unsigned long long rows, columns;
    long long stride;
};

struct Preference {
    size_t workspace = 0;
    unsigned aligned[4] = {256, 256, 256, 256};
};

// As the library has it, filled with what it was chosen for.
struct Algorithm {
    unsigned long long shape[3], types, workspace, aligned, epilogue, magic;
};

struct Heuristic {
    Algorithm algorithm;
    size_t workspace;
    int state;
    float waves;
    int reserved[4];
};

constexpr unsigned long long MAGIC = 0x5eed;

EXPORT int cublasLtCreate(void** handle) {
    *handle = new int(0);
    return 0;
}

EXPORT int cublasLtDestroy(void* handle) {
    delete (int*)handle;
    return 0;
}

EXPORT int cublasLtMatmulDescCreate(Description** d, int compute, int scale) {
    *d = new Description;
    (*d)->compute = compute;
    (*d)->scale = scale;
    return 0;
}

EXPORT int cublasLtMatmulDescSetAttribute(Description* d, int attribute, const void* value, size_t size) {
    LOCK;
    if (attribute == 3 || attribute == 4) {
        CHECK(size == 4, "a transposition of %zu bytes", size);
        memcpy(&d->transposed[attribute - 3], value, 4);
    } else if (attribute == 7) {
        CHECK(size == 4, "an epilogue of %zu bytes", size);
        memcpy(&d->epilogue, value, 4);
    } else if (attribute == 8) {
        CHECK(size == 8, "a bias of %zu bytes", size);
        memcpy(&d->bias, value, 8);
    } else {
        CHECK(false, "attribute %d", attribute);
    }
    return 0;
}

EXPORT int cublasLtMatmulDescDestroy(Description* d) {
    delete d;
    return 0;
}

EXPORT int cublasLtMatrixLayoutCreate(Layout** l, int type, unsigned long long rows, unsigned long long columns, long long stride) {
    CHECK(stride >= (long long)rows, "columns of %llu are %lld apart", rows, stride);
    *l = new Layout{type, rows, columns, stride};
    return 0;
}

EXPORT int cublasLtMatrixLayoutDestroy(Layout* l) {
    delete l;
    return 0;
}

EXPORT int cublasLtMatmulPreferenceCreate(Preference** p) {
    *p = new Preference;
    return 0;
}

EXPORT int cublasLtMatmulPreferenceSetAttribute(Preference* p, int attribute, const void* value, size_t size) {
    if (attribute == 1) {
        CHECK(size == 8, "a workspace of %zu bytes", size);
        memcpy(&p->workspace, value, 8);
    } else if (attribute >= 5 && attribute <= 8) {
        CHECK(size == 4, "an alignment of %zu bytes", size);
        memcpy(&p->aligned[attribute - 5], value, 4);
    } else {
        CHECK(false, "preference %d", attribute);
    }
    return 0;
}

EXPORT int cublasLtMatmulPreferenceDestroy(Preference* p) {
    delete p;
    return 0;
}

static unsigned long long rows_of(const Layout* l, int is_transposed) {
    return is_transposed ? l->columns : l->rows;
}

static unsigned long long types_of(const Layout* a, const Layout* b, const Layout* c, const Layout* d) {
    return a->type | b->type << 8 | c->type << 16 | d->type << 24;
}

EXPORT int cublasLtMatmulAlgoGetHeuristic(void*, Description* d, Layout* a, Layout* b, Layout* c, Layout* to, Preference* p,
                                          int wanted, Heuristic* found, int* count) {
    LOCK;
    const unsigned long long m = rows_of(a, d->transposed[0]), k = rows_of(a, !d->transposed[0]);
    const unsigned long long n = rows_of(b, !d->transposed[1]);
    CHECK(rows_of(b, d->transposed[1]) == k, "a product over %llu and %llu", k, rows_of(b, d->transposed[1]));
    CHECK(c->rows == m && c->columns == n && to->rows == m && to->columns == n, "a product into another shape");
    CHECK(a->type == b->type && c->type == to->type && (c->type == R_32F || c->type == a->type), "types that there are not");
    CHECK(d->compute == 68 && d->scale == R_32F, "sums that are not f32");
    CHECK(wanted >= 1, "none wanted");
    for (unsigned aligned : p->aligned) CHECK(aligned > 0 && !(aligned & (aligned - 1)), "aligned to %u", aligned);
    memset(found, 0, sizeof *found);
    Algorithm& algorithm = found->algorithm;
    algorithm = {{m, n, k}, types_of(a, b, c, to), p->workspace, 0, (unsigned long long)d->epilogue, MAGIC};
    for (int i = 0; i < 4; i++) algorithm.aligned |= (unsigned long long)p->aligned[i] << 16 * i;
    found->workspace = p->workspace;
    *count = 1;
    return 0;
}

static float read(int type, const char* at, size_t index) {
    float x = 0.0f;
    if (type == R_32F) {
        memcpy(&x, at + 4 * index, 4);
    } else {
        memcpy((char*)&x + 2, at + 2 * index, 2);
    }
    return x;
}

static void write(int type, char* at, size_t index, float x) {
    if (type == R_32F) {
        memcpy(at + 4 * index, &x, 4);
        return;
    }
    unsigned bits;
    memcpy(&bits, &x, 4);
    bits = (bits & 0x7fffffff) > 0x7f800000 ? bits | 0x400000 : bits + 0x7fff + (bits >> 16 & 1);
    const unsigned short half = (unsigned short)(bits >> 16);
    memcpy(at + 2 * index, &half, 2);
}

EXPORT int cublasLtMatmul(void*, Description* d, const float* alpha, const char* a, Layout* la, const char* b, Layout* lb,
                          const float* beta, const char* c, Layout* lc, char* to, Layout* lto, const Algorithm* algorithm,
                          void* workspace, size_t bytes, Stream* s) {
    LOCK;
    CHECK(current, "no context");
    check_stream(s);
    const Description own = *d;
    const Layout of_a = *la, of_b = *lb, of_c = *lc;
    const size_t m = of_c.rows, n = of_c.columns, k = rows_of(la, !own.transposed[0]);
    CHECK(algorithm->magic == MAGIC && algorithm->shape[0] == m && algorithm->shape[1] == n && algorithm->shape[2] == k &&
              algorithm->types == types_of(la, lb, lc, lto) && algorithm->epilogue == (unsigned long long)own.epilogue,
          "an algorithm for another product than (%zu, %zu) over %zu", m, n, k);
    CHECK(bytes >= algorithm->workspace, "a workspace of %zu bytes", bytes);
    check_inside((unsigned long long)workspace, bytes);
    const void* matrices[4] = {a, b, c, to};
    for (int i = 0; i < 4; i++) {
        const unsigned aligned = algorithm->aligned >> 16 * i & 0xffff;
        CHECK((unsigned long long)matrices[i] % aligned == 0, "matrix %d at %p is not aligned to %u", i, matrices[i], aligned);
    }
    const auto size = [](int type) { return type == R_32F ? 4 : 2; };
    check_inside((unsigned long long)a, size(of_a.type) * (of_a.stride * (of_a.columns - 1) + of_a.rows));
    check_inside((unsigned long long)b, size(of_b.type) * (of_b.stride * (of_b.columns - 1) + of_b.rows));
    check_inside((unsigned long long)to, size(of_c.type) * (of_c.stride * (n - 1) + m));
    if (own.epilogue == 4) check_inside(own.bias, size(of_c.type) * m);
    const float by = *alpha, old = *beta;
    s->add([=] {
        for (size_t column = 0; column < n; column++)
            for (size_t row = 0; row < m; row++) {
                double sum = 0.0;
                for (size_t i = 0; i < k; i++) {
                    const size_t at_a = own.transposed[0] ? i + row * of_a.stride : row + i * of_a.stride;
                    const size_t at_b = own.transposed[1] ? column + i * of_b.stride : i + column * of_b.stride;
                    sum += (double)(read(of_a.type, a, at_a) * read(of_b.type, b, at_b));
                }
                const size_t at = row + column * of_c.stride;
                sum *= by;
                // With a factor of 0 what was there may be anything.
                if (old != 0.0f) sum += (double)old * read(of_c.type, c, at);
                if (own.epilogue == 4) sum += read(of_c.type, (const char*)own.bias, row);
                write(of_c.type, to, at, (float)sum);
            }
    });
    return 0;
}

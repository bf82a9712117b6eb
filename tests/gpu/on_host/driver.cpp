// CUDA's driver on a CPU: what of it the program calls, so that its driver side can be tested without a GPU. `compiler.cpp` and
// `products.cpp` stand behind this in one program, HEADER, the text of `cuda.h`, before it. A "module" is a shared library.
//
// Stricter than a GPU: a stream does nothing until somebody waits for it, and then no more than was waited for, so that host
// memory which is given up too early, and results that are looked at too early, show. What a capture forbids fails in one.
// Memory is filled with NaNs when it is allocated and when it is freed, and fenced. Misuse ends the program with a message.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#define EXPORT extern "C" __attribute__((visibility("default")))

typedef int Result;
enum { OK = 0, INVALID = 1, NO_MEMORY = 2, NO_CONTEXT = 201, NOT_FOUND = 500, NOT_READY = 600, IN_CAPTURE = 900, SPOILT = 901 };

static std::recursive_mutex everything;
#define LOCK std::lock_guard<std::recursive_mutex> lock(everything)

#define CHECK(what, ...)                                            \
    do {                                                            \
        if (!(what)) {                                              \
            fprintf(stderr, "driver on host, %s: ", __func__);      \
            fprintf(stderr, __VA_ARGS__);                           \
            fprintf(stderr, "\n");                                  \
            abort();                                                \
        }                                                           \
    } while (0)

typedef std::function<void()> Work;

struct Graph {
    std::vector<Work> work;
};

struct Stream {
    std::deque<Work> work;
    // Numbers of the first that is still to be done, and of the one that comes next.
    size_t done = 0, asked = 0;
    Graph* capture = nullptr;
    bool is_spoilt = false;
    std::thread::id captor;

    void add(Work w) {
        if (capture) {
            capture->work.push_back(w);
            return;
        }
        work.push_back(w);
        asked++;
    }

    void run(size_t until) {
        while (done < until) {
            Work first = work.front();
            work.pop_front();
            done++;
            first();
        }
    }
};

static std::set<Stream*> streams;
static thread_local void* current = nullptr;
static int the_context;

// What a thread that captures must not do.
static bool is_capturing() {
    for (Stream* s : streams)
        if (s->capture && s->captor == std::this_thread::get_id()) {
            s->is_spoilt = true;
            return true;
        }
    return false;
}

#define IN_CONTEXT \
    LOCK;          \
    if (!current) return NO_CONTEXT
#define WAITS \
    IN_CONTEXT; \
    if (is_capturing()) return IN_CAPTURE

// Memory of the device.

constexpr size_t FENCE = 256;
static std::map<unsigned long long, size_t> memory;
static size_t taken = 0;
constexpr size_t TOTAL = (size_t)8 << 30;

static void check_fences() {
    for (auto [address, bytes] : memory) {
        const unsigned char* before = (const unsigned char*)address - FENCE;
        const unsigned char* behind = (const unsigned char*)address + bytes;
        for (size_t i = 0; i < FENCE; i++)
            CHECK(before[i] == 0xA5 && behind[i] == 0xA5, "somebody wrote beside memory of %zu bytes", bytes);
    }
}

static void check_inside(unsigned long long address, size_t bytes) {
    auto it = memory.upper_bound(address);
    CHECK(it != memory.begin(), "address %llx is nobody's", address);
    --it;
    CHECK(address + bytes <= it->first + it->second, "%zu bytes at %llx are not inside an allocation", bytes, address);
}

EXPORT Result cuMemAlloc_v2(unsigned long long* address, size_t bytes) {
    WAITS;
    if (bytes == 0) return INVALID;
    if (taken + bytes > TOTAL) return NO_MEMORY;
    char* all = (char*)aligned_alloc(256, (bytes + 2 * FENCE + 255) / 256 * 256);
    memset(all, 0xA5, bytes + 2 * FENCE);
    memset(all + FENCE, 0xFF, bytes);
    *address = (unsigned long long)(all + FENCE);
    memory[*address] = bytes;
    taken += bytes;
    return OK;
}

EXPORT Result cuMemFree_v2(unsigned long long address) {
    WAITS;
    auto it = memory.find(address);
    CHECK(it != memory.end(), "address %llx was not allocated", address);
    for (Stream* s : streams) CHECK(s->work.empty(), "memory is freed before a stream has come to its end");
    check_fences();
    memset((void*)address, 0xFF, it->second);
    taken -= it->second;
    free((char*)address - FENCE);
    memory.erase(it);
    return OK;
}

EXPORT Result cuMemGetInfo_v2(size_t* free, size_t* total) {
    IN_CONTEXT;
    *free = TOTAL - taken;
    *total = TOTAL;
    return OK;
}

// Memory of the host that is pinned.

static std::map<char*, size_t> pinned;

static bool is_pinned(const void* address, size_t bytes) {
    auto it = pinned.upper_bound((char*)address);
    if (it == pinned.begin()) return false;
    --it;
    return (char*)address + bytes <= it->first + it->second;
}

EXPORT Result cuMemHostAlloc(void** address, size_t bytes, unsigned) {
    WAITS;
    *address = aligned_alloc(256, (bytes + 255) / 256 * 256);
    memset(*address, 0xFF, bytes);
    pinned[(char*)*address] = bytes;
    return OK;
}

EXPORT Result cuMemFreeHost(void* address) {
    WAITS;
    CHECK(pinned.erase((char*)address) == 1, "%p was not pinned", address);
    free(address);
    return OK;
}

// Driver, device, context.

EXPORT Result cuInit(unsigned) {
    return OK;
}

EXPORT Result cuDeviceGetCount(int* count) {
    *count = 1;
    return OK;
}

EXPORT Result cuDeviceGet(int* device, int number) {
    *device = number;
    return number == 0 ? OK : 101;
}

EXPORT Result cuDeviceGetName(char* name, int length, int) {
    snprintf(name, length, "GPU that is a CPU");
    return OK;
}

EXPORT Result cuDeviceGetAttribute(int* value, int attribute, int) {
    // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR.
    *value = attribute == 75 ? 9 : 0;
    return OK;
}

EXPORT Result cuDevicePrimaryCtxRetain(void** context, int) {
    *context = &the_context;
    return OK;
}

EXPORT Result cuDevicePrimaryCtxRelease_v2(int) {
    return OK;
}

EXPORT Result cuCtxSetCurrent(void* context) {
    current = context;
    return OK;
}

EXPORT Result cuCtxGetCurrent(void** context) {
    *context = current;
    return OK;
}

EXPORT Result cuCtxSynchronize() {
    WAITS;
    // Not even while another thread captures.
    for (Stream* s : streams) {
        if (!s->capture) continue;
        s->is_spoilt = true;
        return IN_CAPTURE;
    }
    for (Stream* s : streams) s->run(s->asked);
    check_fences();
    return OK;
}

EXPORT Result cuGetErrorString(Result error, const char** text) {
    *text = error == NO_MEMORY ? "out of memory" : error == IN_CAPTURE ? "not while a stream captures" : "an error of the driver on host";
    return OK;
}

EXPORT Result cuGetErrorName(Result, const char** text) {
    *text = "DRIVER_ON_HOST";
    return OK;
}

// Streams and events.

EXPORT Result cuStreamCreate(Stream** stream, unsigned) {
    IN_CONTEXT;
    *stream = new Stream;
    streams.insert(*stream);
    return OK;
}

static void check_stream(Stream* s) {
    CHECK(streams.count(s) == 1, "%p is no stream", (void*)s);
}

EXPORT Result cuStreamSynchronize(Stream* s) {
    WAITS;
    check_stream(s);
    s->run(s->asked);
    check_fences();
    return OK;
}

EXPORT Result cuStreamDestroy_v2(Stream* s) {
    IN_CONTEXT;
    check_stream(s);
    CHECK(s->work.empty(), "a stream with work to do");
    streams.erase(s);
    delete s;
    return OK;
}

struct Event {
    Stream* stream = nullptr;
    size_t number = 0;
};

EXPORT Result cuEventCreate(Event** event, unsigned) {
    IN_CONTEXT;
    *event = new Event;
    return OK;
}

EXPORT Result cuEventRecord(Event* event, Stream* s) {
    IN_CONTEXT;
    check_stream(s);
    CHECK(!s->capture, "an event in a capture");
    *event = {s, s->asked};
    return OK;
}

// Does what was asked for before the event, and nothing behind it.
EXPORT Result cuEventSynchronize(Event* event) {
    WAITS;
    if (event->stream) event->stream->run(event->number);
    return OK;
}

EXPORT Result cuEventDestroy_v2(Event* event) {
    delete event;
    return OK;
}

// Copies: of pinned memory when the stream comes to them, of other memory as well, though a driver might copy that before.

EXPORT Result cuMemsetD8Async(unsigned long long to, unsigned char value, size_t bytes, Stream* s) {
    IN_CONTEXT;
    check_stream(s);
    check_inside(to, bytes);
    s->add([=] { memset((void*)to, value, bytes); });
    return OK;
}

EXPORT Result cuMemcpyHtoDAsync_v2(unsigned long long to, const void* from, size_t bytes, Stream* s) {
    IN_CONTEXT;
    check_stream(s);
    check_inside(to, bytes);
    if (s->capture && !is_pinned(from, bytes)) {
        s->is_spoilt = true;
        return IN_CAPTURE;
    }
    s->add([=] { memcpy((void*)to, from, bytes); });
    return OK;
}

EXPORT Result cuMemcpyDtoHAsync_v2(void* to, unsigned long long from, size_t bytes, Stream* s) {
    IN_CONTEXT;
    check_stream(s);
    check_inside(from, bytes);
    s->add([=] { memcpy(to, (const void*)from, bytes); });
    return OK;
}

// Modules and kernels.

struct Launch {
    unsigned grid_x, grid_y, threads, is_greedy;
};

struct Kernel {
    std::string name;
    int (*run)(const Launch*, void**);
    std::vector<int> sizes;
};

struct Module {
    void* library;
    std::map<std::string, Kernel*> kernels;
};

static std::string new_path(const char* end) {
    static int count = 0;
    const char* dir = getenv("TMPDIR");
    return std::string(dir ? dir : "/tmp") + "/driver-on-host-" + std::to_string(getpid()) + "-" + std::to_string(count++) + end;
}

EXPORT Result cuModuleLoadData(Module** module, const void* image) {
    IN_CONTEXT;
    // An ELF file ends behind its table of sections.
    const unsigned char* elf = (const unsigned char*)image;
    unsigned long long table;
    unsigned short entry, count;
    memcpy(&table, elf + 40, 8);
    memcpy(&entry, elf + 58, 2);
    memcpy(&count, elf + 60, 2);
    const std::string path = new_path(".so");
    FILE* file = fopen(path.c_str(), "wb");
    CHECK(file && fwrite(image, 1, table + (size_t)entry * count, file) > 0, "can't write %s", path.c_str());
    fclose(file);
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    CHECK(library, "%s", dlerror());
    unlink(path.c_str());
    *module = new Module{library, {}};
    return OK;
}

EXPORT Result cuModuleGetFunction(Kernel** kernel, Module* module, const char* name) {
    IN_CONTEXT;
    Kernel*& known = module->kernels[name];
    if (!known) {
        void* run = dlsym(module->library, name);
        void* sizes = dlsym(module->library, (std::string(name) + "_sizes").c_str());
        if (!run || !sizes) return NOT_FOUND;
        int all[32];
        const int count = ((int (*)(int*))sizes)(all);
        known = new Kernel{name, (int (*)(const Launch*, void**))run, std::vector<int>(all, all + count)};
    }
    *kernel = known;
    return OK;
}

EXPORT Result cuModuleUnload(Module* module) {
    IN_CONTEXT;
    for (auto& [name, kernel] : module->kernels) delete kernel;
    dlclose(module->library);
    delete module;
    return OK;
}

EXPORT Result cuLaunchKernel(Kernel* k, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                             unsigned shared, Stream* s, void** arguments, void** extra) {
    IN_CONTEXT;
    check_stream(s);
    CHECK(gx > 0 && gy > 0 && gy < 65536 && gz == 1, "%s: a grid of %u x %u x %u", k->name.c_str(), gx, gy, gz);
    CHECK(bx > 0 && bx <= 1024 && by == 1 && bz == 1 && !shared && !extra, "%s: a block of %u", k->name.c_str(), bx);
    // The driver takes the arguments' values before it returns.
    std::vector<std::vector<char>> values;
    for (size_t i = 0; i < k->sizes.size(); i++)
        values.emplace_back((char*)arguments[i], (char*)arguments[i] + k->sizes[i]);
    s->add([=]() mutable {
        std::vector<void*> pointers;
        for (auto& value : values) pointers.push_back(value.data());
        const Launch launch = {gx, gy, bx, 0};
        CHECK(k->run(&launch, pointers.data()) == 0, "%s is not for %u threads", k->name.c_str(), bx);
    });
    return OK;
}

// Graphs.

EXPORT Result cuStreamBeginCapture_v2(Stream* s, int) {
    IN_CONTEXT;
    check_stream(s);
    if (s->capture) return INVALID;
    s->capture = new Graph;
    s->is_spoilt = false;
    s->captor = std::this_thread::get_id();
    return OK;
}

EXPORT Result cuStreamEndCapture(Stream* s, Graph** graph) {
    IN_CONTEXT;
    check_stream(s);
    if (!s->capture) return INVALID;
    *graph = s->capture;
    s->capture = nullptr;
    if (!s->is_spoilt) return OK;
    delete *graph;
    *graph = nullptr;
    return SPOILT;
}

EXPORT Result cuGraphInstantiateWithFlags(Graph** made, Graph* graph, unsigned long long) {
    IN_CONTEXT;
    CHECK(!graph->work.empty(), "a graph of nothing");
    *made = new Graph(*graph);
    return OK;
}

static size_t launched = 0;

__attribute__((destructor)) static void tell() {
    if (getenv("TELL_GRAPHS")) fprintf(stderr, "graphs launched: %zu\n", launched);
}

EXPORT Result cuGraphLaunch(Graph* made, Stream* s) {
    IN_CONTEXT;
    launched++;
    check_stream(s);
    CHECK(!s->capture, "a graph in a capture");
    for (const Work& w : made->work) s->add(w);
    return OK;
}

EXPORT Result cuGraphDestroy(Graph* graph) {
    delete graph;
    return OK;
}

EXPORT Result cuGraphExecDestroy(Graph* made) {
    delete made;
    return OK;
}

// CUDA's run-time compiler on a CPU: puts HEADER before the kernels and calls a C++ compiler.

struct Program {
    std::string source, code, log;
};

EXPORT int nvrtcCreateProgram(Program** program, const char* source, const char*, int, const char**, const char**) {
    *program = new Program{source, "", ""};
    return 0;
}

EXPORT int nvrtcCompileProgram(Program* p, int count, const char** options) {
    LOCK;
    bool is_for_us = false;
    for (int i = 0; i < count; i++) is_for_us |= !strcmp(options[i], "--gpu-architecture=sm_90");
    CHECK(is_for_us, "not compiled for the GPU at hand");
    const std::string source = new_path(".cpp"), library = new_path(".so"), log = new_path(".log");
    FILE* file = fopen(source.c_str(), "w");
    CHECK(file, "can't write %s", source.c_str());
    fprintf(file, "%s\n%s", HEADER, p->source.c_str());
    fclose(file);
    const char* compiler = getenv("CXX");
    const std::string command = std::string(compiler ? compiler : "c++") +
                                " -std=c++17 -O1 -ffp-contract=off -fPIC -shared -w -U_FORTIFY_SOURCE -fvisibility=hidden -o " +
                                library + " " + source + " 2> " + log;
    const bool is_done = system(command.c_str()) == 0;
    auto read = [](const std::string& path) {
        std::string all;
        if (FILE* f = fopen(path.c_str(), "rb")) {
            char part[4096];
            for (size_t n; (n = fread(part, 1, sizeof part, f)) > 0;) all.append(part, n);
            fclose(f);
        }
        return all;
    };
    p->code = read(library);
    p->log = read(log);
    for (const std::string& path : {source, library, log}) unlink(path.c_str());
    return is_done ? 0 : 6;
}

EXPORT int nvrtcGetCUBINSize(Program* p, size_t* size) {
    *size = p->code.size();
    return 0;
}

EXPORT int nvrtcGetCUBIN(Program* p, char* code) {
    memcpy(code, p->code.data(), p->code.size());
    return 0;
}

EXPORT int nvrtcGetProgramLogSize(Program* p, size_t* size) {
    *size = p->log.size() + 1;
    return 0;
}

EXPORT int nvrtcGetProgramLog(Program* p, char* log) {
    memcpy(log, p->log.c_str(), p->log.size() + 1);
    return 0;
}

EXPORT int nvrtcDestroyProgram(Program** p) {
    delete *p;
    *p = nullptr;
    return 0;
}

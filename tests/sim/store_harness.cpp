// A sample store, compiled, on a simulated memory: for tests/sim/test_memory.py.

#include <cstdint>

#include "verilated.h"

#include "../../sim/memory.hpp"
#include "Vengine.h"

namespace {

struct Simulation {
    VerilatedContext context;
    Vengine top{&context, "store"};

    void cycle(SimulatedMemory& memory) {
        memory.drive(top.port___05Frequests___05Fready, top.port___05Fwrites___05Fready,
                     top.port___05Freads___05Fpayload, top.port___05Freads___05Fvalid);
        top.clk = 0;
        top.eval();
        memory.watch(top.port___05Frequests___05Fpayload, top.port___05Frequests___05Fvalid,
                     top.port___05Frequests___05Fready, top.port___05Fwrites___05Fpayload,
                     top.port___05Fwrites___05Fvalid, top.port___05Fwrites___05Fready,
                     top.port___05Freads___05Fvalid);
    }

    void tick() {
        top.clk = 1;
        top.eval();
    }
};

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT Simulation* store_create() {
    auto* s = new Simulation;
    s->top.rst = 1;
    s->top.clk = 0;
    s->top.eval();
    s->tick();
    s->top.rst = 0;
    return s;
}

EXPORT void store_destroy(Simulation* s) {
    s->top.final();
    delete s;
}

// Write words one after the other from an address on; returns the cycles it took, or 0 if more than
// the limit.
EXPORT uint64_t store_write(Simulation* s, const MemorySettings* settings, uint64_t address,
                            const uint8_t* words, uint64_t count, uint64_t limit) {
    SimulatedMemory memory(*settings);
    auto& top = s->top;
    uint64_t moved = 0;
    top.address = address;
    top.seek = 1;
    for (uint64_t cycle = 0; cycle < limit; ++cycle) {
        top.words___05Fvalid = cycle != 0 && moved < count;
        if (top.words___05Fvalid) top.words___05Fpayload = words[moved];
        s->cycle(memory);
        if (moved == count && !top.writing && cycle != 0) return cycle;
        moved += top.words___05Fvalid && top.words___05Fready;
        s->tick();
        top.seek = 0;
    }
    return 0;
}

// Run a plan; returns the cycles from the job to the last beat, or 0 if more than the limit or if the
// memory was asked for what it does not have.
EXPORT uint64_t store_run(Simulation* s, const MemorySettings* settings, const uint8_t* plan,
                          uint64_t* beats, uint64_t count, uint64_t limit) {
    SimulatedMemory memory(*settings);
    auto& top = s->top;
    std::memcpy(&top.job___05Fpayload, plan, sizeof(top.job___05Fpayload));
    top.job___05Fvalid = 1;
    top.beats___05Fready = 1;
    uint64_t moved = 0;
    for (uint64_t cycle = 0; cycle < limit && !memory.failed(); ++cycle) {
        s->cycle(memory);
        if (moved == count && top.job___05Fready) return cycle;
        const bool taken = top.job___05Fvalid && top.job___05Fready;
        if (top.beats___05Fvalid && moved < count) beats[moved++] = top.beats___05Fpayload;
        s->tick();
        if (taken) top.job___05Fvalid = 0;
    }
    return 0;
}

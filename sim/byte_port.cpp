// The clock of a simulated device that is reached through two streams of bytes, `i` and `o`.
//
// Compiled into one shared library per device, around Verilator's model of it.

#include <cstdint>

#include "verilated.h"

#include "Vengine.h"

namespace {

constexpr int RESET_CYCLES = 4;

// Mirrored by sim.byte_port.Transfer, field by field.
struct Transfer {
    const uint8_t* in;
    uint8_t* out;
    uint64_t in_count, out_room;
    // What has been moved so far.
    uint64_t in_moved, out_moved;
    // Cycles so far.
    uint64_t cycles;
};

struct Simulation {
    VerilatedContext context;
    Vengine top{&context, "engine"};

    void settle() {
        top.clk = 0;
        top.eval();
    }

    void tick() {
        top.clk = 1;
        top.eval();
    }

    void reset() {
        top.i___05Fvalid = 0;
        top.o___05Fready = 0;
        top.rst = 1;
        for (int cycle = 0; cycle < RESET_CYCLES; ++cycle) {
            settle();
            tick();
        }
        top.rst = 0;
        settle();
    }

    void advance(Transfer& t, uint64_t limit, int stop) {
        while (t.cycles < limit && t.out_moved < t.out_room) {
            top.i___05Fvalid = t.in_moved < t.in_count;
            if (top.i___05Fvalid) top.i___05Fpayload = t.in[t.in_moved];
            top.o___05Fready = 1;
            settle();
            const bool in_taken = top.i___05Fvalid && top.i___05Fready;
            const bool out_taken = top.o___05Fvalid;
            const uint8_t byte = top.o___05Fpayload;
            tick();
            ++t.cycles;
            t.in_moved += in_taken;
            if (out_taken) {
                t.out[t.out_moved++] = byte;
                if (byte == stop) return;
            }
        }
    }
};

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT Simulation* device_create() {
    auto* simulation = new Simulation;
    simulation->reset();
    return simulation;
}

EXPORT void device_destroy(Simulation* simulation) {
    simulation->top.final();
    delete simulation;
}

EXPORT void device_reset(Simulation* simulation) { simulation->reset(); }

// Runs until `limit` cycles are over in all, the output is full, or the byte `stop` has come out.
EXPORT void device_advance(Simulation* simulation, Transfer* transfer, uint64_t limit, int stop) {
    simulation->advance(*transfer, limit, stop);
}

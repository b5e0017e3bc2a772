// The clock of a simulated device that is reached through two streams of bytes, `i` and `o`, and the
// memory behind its `port` (hdl.memory.interface), if it has one.
//
// Compiled into one shared library per device, around Verilator's model of it.

#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

#include "verilated.h"

#include "Vengine.h"
#include "memory.hpp"

namespace {

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

template <class Top, class = void>
struct has_memory : std::false_type {};
template <class Top>
struct has_memory<Top, std::void_t<decltype(std::declval<Top&>().port___05Frequests___05Fvalid)>>
    : std::true_type {};

template <class Top>
struct Device {
    VerilatedContext context;
    std::unique_ptr<Top> model;
    MemorySettings settings{};
    std::unique_ptr<SimulatedMemory> memory;

    Device() { reset(); }

    // There is no reset to drive: registers begin with their values, as after power has come.
    void reset() {
        model = std::make_unique<Top>(&context, "engine");
        model->clk = 0;
        model->eval();
        memory = std::make_unique<SimulatedMemory>(settings);
    }

    // Outputs depend on registers alone, so what they are before an edge is known without another
    // evaluation.
    void advance(Transfer& t, uint64_t limit, int stop) {
        Top& top = *model;
        while (t.cycles < limit && t.out_moved < t.out_room) {
            top.i___05Fvalid = t.in_moved < t.in_count;
            if (top.i___05Fvalid) top.i___05Fpayload = t.in[t.in_moved];
            top.o___05Fready = 1;
            if constexpr (has_memory<Top>::value) {
                memory->drive(top.port___05Frequests___05Fready, top.port___05Fwrites___05Fready,
                              top.port___05Freads___05Fpayload, top.port___05Freads___05Fvalid);
                memory->watch(top.port___05Frequests___05Fpayload, top.port___05Frequests___05Fvalid,
                              top.port___05Frequests___05Fready, top.port___05Fwrites___05Fpayload,
                              top.port___05Fwrites___05Fvalid, top.port___05Fwrites___05Fready,
                              top.port___05Freads___05Fvalid);
            }
            const bool in_taken = top.i___05Fvalid && top.i___05Fready;
            const bool out_taken = top.o___05Fvalid;
            const uint8_t byte = top.o___05Fpayload;
            top.clk = 1;
            top.eval();
            top.clk = 0;
            top.eval();
            ++t.cycles;
            t.in_moved += in_taken;
            if (out_taken) {
                t.out[t.out_moved++] = byte;
                if (byte == stop) return;
            }
        }
    }
};

using Simulation = Device<Vengine>;

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT Simulation* device_create() {
    auto* simulation = new Simulation;
    simulation->reset();
    return simulation;
}

EXPORT void device_destroy(Simulation* simulation) {
    simulation->model->final();
    delete simulation;
}

EXPORT void device_reset(Simulation* simulation) { simulation->reset(); }

// Puts a memory behind the port, and resets.
EXPORT void device_set_memory(Simulation* simulation, const MemorySettings* settings) {
    simulation->settings = *settings;
    simulation->reset();
}

// Runs until `limit` cycles are over in all, the output is full, or the byte `stop` has come out.
// Returns whether the memory was asked for what it does not have.
EXPORT int device_advance(Simulation* simulation, Transfer* transfer, uint64_t limit, int stop) {
    simulation->advance(*transfer, limit, stop);
    return simulation->memory->failed();
}

// The clock of a simulated engine: everything that happens once a cycle happens here, never in Python.
//
// Knows the engine's streams by name and nothing of their layouts or widths: payloads are copied as
// bytes, the size of Verilator's type of the port. Compiled into one shared library per engine.

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "verilated.h"

#include "Vengine.h"

namespace {

constexpr int RESET_CYCLES = 4;

// Mirrored by sim.verilated.Transfer, field by field.
struct Transfer {
    // What one call moves. A null job means that none is left to be sent.
    const uint8_t* job;
    const uint8_t* epochs;
    const uint8_t* beats;
    uint8_t* margins;
    const uint64_t* words_in;
    uint64_t* words_out;
    uint64_t epoch_count, beat_count, margin_count, in_count, out_count;
    // The beats are sent from the start again until this many have been.
    uint64_t beat_total;
    // A stream rests in a cycle with probability gap / 2^32.
    uint64_t gap, gap_state;
    // What has been moved so far.
    uint64_t epochs_moved, beats_moved, margins_moved, in_moved, out_moved;
    // The beat to offer next.
    uint64_t next_beat;
    // Cycles since the last handshake in which no stream rested.
    uint64_t quiet_cycles;
};

enum Outcome : int { RUNNING = 0, DONE = 1, STUCK = 2 };

template <class Port>
void put(Port& port, const uint8_t* bytes) {
    static_assert(std::is_trivially_copyable_v<Port>);
    std::memcpy(&port, bytes, sizeof(Port));
}

template <class Port>
void take(uint8_t* bytes, const Port& port) {
    std::memcpy(bytes, &port, sizeof(Port));
}

struct Simulation {
    VerilatedContext context;
    Vengine top{&context, "engine"};

    void tick() {
        top.clk = 1;
        top.eval();
    }

    void settle() {
        top.clk = 0;
        top.eval();
    }

    void idle() {
        top.job___05Fvalid = 0;
        top.epochs___05Fvalid = 0;
        top.beats___05Fvalid = 0;
        top.margins___05Fready = 0;
        top.model_in___05Fvalid = 0;
        top.model_out___05Fready = 0;
    }

    void reset() {
        idle();
        top.rst = 1;
        for (int cycle = 0; cycle < RESET_CYCLES; ++cycle) {
            settle();
            tick();
        }
        top.rst = 0;
        settle();
    }

    Outcome advance(Transfer& t, uint64_t cycles, uint64_t patience);
};

// Xorshift (Marsaglia 2003): whether a stream rests in this cycle.
bool rests(Transfer& t) {
    if (t.gap == 0) return false;
    t.gap_state ^= t.gap_state << 13;
    t.gap_state ^= t.gap_state >> 7;
    t.gap_state ^= t.gap_state << 17;
    return (t.gap_state >> 32) < t.gap;
}

Outcome Simulation::advance(Transfer& t, uint64_t cycles, uint64_t patience) {
    for (uint64_t cycle = 0; cycle < cycles; ++cycle) {
        // Offer. A payload that was offered stays until it is taken, as the stream rules ask.
        bool rested = false;
        if (t.job != nullptr && !top.job___05Fvalid) {
            put(top.job___05Fpayload, t.job);
            top.job___05Fvalid = 1;
        }
        if (t.epochs_moved < t.epoch_count && !top.epochs___05Fvalid) {
            put(top.epochs___05Fpayload, t.epochs + t.epochs_moved * sizeof(top.epochs___05Fpayload));
            top.epochs___05Fvalid = 1;
        }
        if (t.beats_moved < t.beat_total && !top.beats___05Fvalid) {
            if (rests(t)) {
                rested = true;
            } else {
                put(top.beats___05Fpayload, t.beats + t.next_beat * sizeof(top.beats___05Fpayload));
                if (++t.next_beat == t.beat_count) t.next_beat = 0;
                top.beats___05Fvalid = 1;
            }
        }
        if (t.in_moved < t.in_count && !top.model_in___05Fvalid) {
            if (rests(t)) {
                rested = true;
            } else {
                top.model_in___05Fpayload = t.words_in[t.in_moved];
                top.model_in___05Fvalid = 1;
            }
        }
        if (t.margins_moved < t.margin_count) {
            const bool rest = rests(t);
            rested |= rest;
            top.margins___05Fready = !rest;
        } else {
            top.margins___05Fready = 0;
        }
        if (t.out_moved < t.out_count) {
            const bool rest = rests(t);
            rested |= rest;
            top.model_out___05Fready = !rest;
        } else {
            top.model_out___05Fready = 0;
        }
        settle();

        // Done once everything has moved and the engine would take another job.
        const bool moved_all = t.job == nullptr && t.epochs_moved == t.epoch_count
                               && t.beats_moved == t.beat_total
                               && t.margins_moved == t.margin_count && t.in_moved == t.in_count && t.out_moved == t.out_count;
        if (moved_all && top.job___05Fready) return DONE;

        // Take note of the handshakes that the clock edge will complete.
        const bool job_taken = top.job___05Fvalid && top.job___05Fready;
        const bool beat_taken = top.beats___05Fvalid && top.beats___05Fready;
        const bool in_taken = top.model_in___05Fvalid && top.model_in___05Fready;
        const bool out_taken = top.model_out___05Fvalid && top.model_out___05Fready;
        const bool epoch_taken = top.epochs___05Fvalid && top.epochs___05Fready;
        const bool margin_taken = top.margins___05Fvalid && top.margins___05Fready;
        if (margin_taken) {
            take(t.margins + t.margins_moved++ * sizeof(top.margins___05Fpayload),
                 top.margins___05Fpayload);
        }
        if (out_taken) t.words_out[t.out_moved++] = top.model_out___05Fpayload;
        tick();
        if (job_taken) {
            t.job = nullptr;
            top.job___05Fvalid = 0;
        }
        if (epoch_taken) {
            ++t.epochs_moved;
            top.epochs___05Fvalid = 0;
        }
        if (beat_taken) {
            ++t.beats_moved;
            top.beats___05Fvalid = 0;
        }
        if (in_taken) {
            ++t.in_moved;
            top.model_in___05Fvalid = 0;
        }

        if (job_taken || epoch_taken || beat_taken || margin_taken || in_taken || out_taken) {
            t.quiet_cycles = 0;
        } else if (!rested && ++t.quiet_cycles >= patience) {
            return STUCK;
        }
    }
    return RUNNING;
}

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT Simulation* engine_create() {
    auto* simulation = new Simulation;
    simulation->reset();
    return simulation;
}

EXPORT void engine_destroy(Simulation* simulation) {
    simulation->top.final();
    delete simulation;
}

EXPORT void engine_reset(Simulation* simulation) { simulation->reset(); }

// Bytes of what both sides must agree on: transfer, job, beat, status, epoch, margins.
EXPORT void engine_sizes(uint64_t* sizes) {
    sizes[0] = sizeof(Transfer);
    sizes[1] = sizeof(Vengine::job___05Fpayload);
    sizes[2] = sizeof(Vengine::beats___05Fpayload);
    sizes[3] = sizeof(Vengine::status);
    sizes[4] = sizeof(Vengine::epochs___05Fpayload);
    sizes[5] = sizeof(Vengine::margins___05Fpayload);
}

EXPORT void engine_status(Simulation* simulation, uint8_t* bytes) {
    std::memcpy(bytes, &simulation->top.status, sizeof(simulation->top.status));
}

// Runs until the transfer is done, `cycles` have passed, or `patience` cycles saw no progress.
EXPORT int engine_advance(Simulation* simulation, Transfer* transfer, uint64_t cycles,
                          uint64_t patience) {
    return simulation->advance(*transfer, cycles, patience);
}

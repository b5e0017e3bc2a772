// The clock of a simulated device that is reached through two streams of bytes, `i` and `o`, and the
// memory behind its `port` (hdl.memory.interface), if it has one.
//
// Compiled into one shared library per device, around Verilator's model of it.

#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <type_traits>
#include <utility>

#include "verilated.h"

#include "Vengine.h"

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

// Mirrored by sim.byte_port.Memory, field by field.
struct Memory {
    uint8_t* bytes;
    uint64_t word_bytes, address_bits, length_bits;
    // Cycles from a request to its first word; a word more rests with probability gap / 2^32.
    uint64_t latency, gap, gap_state;
};

template <class Top, class = void>
struct has_memory : std::false_type {};
template <class Top>
struct has_memory<Top, std::void_t<decltype(std::declval<Top&>().port___05Frequests___05Fvalid)>>
    : std::true_type {};

// Serves one request after the other, a word a cycle.
struct MemoryModel {
    Memory memory{};
    uint64_t cycle = 0, address = 0, left = 0;
    bool write = false, rest = false;
    std::deque<std::pair<uint64_t, uint64_t>> coming;  // cycle and address of words to be read

    uint8_t* word(uint64_t at) { return memory.bytes + at * memory.word_bytes; }

    // What the device sees in this cycle.
    template <class Top>
    void offer(Top& top) {
        rest = draw();
        top.port___05Frequests___05Fready = left == 0;
        top.port___05Fwrites___05Fready = left && write && !rest;
        const bool due = !coming.empty() && coming.front().first <= cycle;
        top.port___05Freads___05Fvalid = due;
        if (due) {
            std::memcpy(&top.port___05Freads___05Fpayload, word(coming.front().second),
                        memory.word_bytes);
        }
    }

    // What the coming clock edge completes.
    template <class Top>
    void step(Top& top) {
        if (top.port___05Freads___05Fvalid) coming.pop_front();
        if (top.port___05Fwrites___05Fvalid && top.port___05Fwrites___05Fready) {
            std::memcpy(word(address++), &top.port___05Fwrites___05Fpayload, memory.word_bytes);
            --left;
        } else if (left && !write && !rest) {
            read();
        }
        if (top.port___05Frequests___05Fvalid && top.port___05Frequests___05Fready) {
            uint64_t bits = 0;
            std::memcpy(&bits, &top.port___05Frequests___05Fpayload,
                        sizeof(top.port___05Frequests___05Fpayload));
            address = take(bits, memory.address_bits);
            left = take(bits, memory.length_bits);
            write = take(bits, 1);
            if (!write && !rest) read();
        }
        ++cycle;
    }

    void read() {
        coming.emplace_back(cycle + memory.latency, address++);
        --left;
    }

    static uint64_t take(uint64_t& bits, uint64_t count) {
        const uint64_t field = bits & ((uint64_t{1} << count) - 1);
        bits >>= count;
        return field;
    }

    // Xorshift (Marsaglia 2003): whether a word rests in this cycle.
    bool draw() {
        if (memory.gap == 0) return false;
        uint64_t& state = memory.gap_state;
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return (state >> 32) < memory.gap;
    }
};

template <class Top>
struct Device {
    VerilatedContext context;
    std::unique_ptr<Top> model;
    MemoryModel memory;

    Device() { reset(); }

    // There is no reset to drive: registers begin with their values, as after power has come.
    void reset() {
        model = std::make_unique<Top>(&context, "engine");
        model->clk = 0;
        model->eval();
        memory.left = 0;
        memory.coming.clear();
    }

    // Outputs depend on registers alone, so what they are before an edge is known without another
    // evaluation.
    void advance(Transfer& t, uint64_t limit, int stop) {
        Top& top = *model;
        while (t.cycles < limit && t.out_moved < t.out_room) {
            top.i___05Fvalid = t.in_moved < t.in_count;
            if (top.i___05Fvalid) top.i___05Fpayload = t.in[t.in_moved];
            top.o___05Fready = 1;
            if constexpr (has_memory<Top>::value) memory.offer(top);
            const bool in_taken = top.i___05Fvalid && top.i___05Fready;
            const bool out_taken = top.o___05Fvalid;
            const uint8_t byte = top.o___05Fpayload;
            if constexpr (has_memory<Top>::value) memory.step(top);
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

EXPORT void device_set_memory(Simulation* simulation, const Memory* memory) {
    simulation->memory.memory = *memory;
}

// Runs until `limit` cycles are over in all, the output is full, or the byte `stop` has come out.
EXPORT void device_advance(Simulation* simulation, Transfer* transfer, uint64_t limit, int stop) {
    simulation->advance(*transfer, limit, stop);
}

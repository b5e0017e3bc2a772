// A memory behind a MemorySignature (hdl/memory/interface.py), for compiled gateware.
//
// Its contents are the caller's: an array of words of the size of Verilator's type of a word, which
// can be filled and read at any time without a cycle. It serves a word a cycle, from request to
// request, unless it is told to wait and to rest: at random, but never for longer than a limit, and
// alike for the same seed.
//
// Once a cycle: drive() before the gateware settles, watch() before the clock edge.

#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

// Mirrored by sim.memory.MemorySettings, field by field.
struct MemorySettings {
    uint8_t* words;
    uint64_t word_count;
    // Where the fields of a request are, from hdl.memory.interface.request_layout.
    uint64_t address_bits, length_bits;
    // A request waits up to so many cycles for its first word.
    uint64_t most_wait;
    // It rests in a cycle with probability gap / 2^32, for longest_rest cycles in a row at most.
    uint64_t gap, longest_rest, seed;
};

class SimulatedMemory {
public:
    static constexpr uint64_t REQUESTS = 4;

    explicit SimulatedMemory(const MemorySettings& settings) : s_(settings), state_(settings.seed | 1) {}

    // An initiator asked for words that are not there. Nothing is read or written for it.
    bool failed() const { return failed_; }

    template <class Ready, class Word, class Valid>
    void drive(Ready& requests_ready, Ready& writes_ready, Word& read, Valid& read_valid) {
        static_assert(std::is_trivially_copyable_v<Word>);
        const bool rests = rest();
        requests_ready = waiting_ < REQUESTS && !rest_requests_;
        writes_ready = 0;
        read_valid = 0;
        if (waiting_ == 0) return;
        if (wait_ != 0) {
            --wait_;
        } else if (!rests) {
            const Request& request = queue_[first_];
            writes_ready = request.write;
            read_valid = !request.write;
            if (read_valid) std::memcpy(&read, s_.words + request.address * sizeof(Word), sizeof(Word));
        }
    }

    template <class Word>
    void watch(uint64_t request, bool request_valid, bool requests_ready, const Word& write,
               bool write_valid, bool writes_ready, bool read_valid) {
        if (read_valid) {
            step();
        } else if (writes_ready && write_valid) {
            std::memcpy(s_.words + queue_[first_].address * sizeof(Word), &write, sizeof(Word));
            step();
        }
        if (request_valid && requests_ready) take(request);
    }

private:
    struct Request {
        uint64_t address, left;
        bool write;
    };

    // Xorshift (Marsaglia 2003).
    uint64_t random() {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return state_ >> 32;
    }

    bool rest() {
        if (s_.gap == 0) return false;
        rest_requests_ = random() < s_.gap;
        rested_ = random() < s_.gap && rested_ < s_.longest_rest ? rested_ + 1 : 0;
        return rested_ != 0;
    }

    void take(uint64_t bits) {
        Request& request = queue_[(first_ + waiting_) % REQUESTS];
        request.address = field(bits, 0, s_.address_bits);
        request.left = field(bits, s_.address_bits, s_.length_bits);
        request.write = field(bits, s_.address_bits + s_.length_bits, 1);
        if (request.left == 0 || request.address + request.left > s_.word_count) {
            failed_ = true;
            return;
        }
        if (waiting_++ == 0) begin();
    }

    void step() {
        ++queue_[first_].address;
        if (--queue_[first_].left != 0) return;
        first_ = (first_ + 1) % REQUESTS;
        if (--waiting_ != 0) begin();
    }

    void begin() { wait_ = s_.most_wait == 0 ? 0 : random() % (s_.most_wait + 1); }

    static uint64_t field(uint64_t bits, uint64_t at, uint64_t width) {
        return (bits >> at) & ((uint64_t{1} << width) - 1);
    }

    MemorySettings s_;
    uint64_t state_, first_ = 0, waiting_ = 0, wait_ = 0, rested_ = 0;
    bool rest_requests_ = false, failed_ = false;
    Request queue_[REQUESTS] = {};
};

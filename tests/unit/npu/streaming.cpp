// SPDX-License-Identifier: MIT
// That operands are streamed: instruction by instruction, no store to the packed operand but past
// the caches, and the thread has fenced behind the last one. The module relies on it, and neither
// results nor a coherent device would show it.
#include "npu/streaming.hpp"

#include <cstdio>

#if defined(__x86_64__) && defined(__linux__)

#include <csignal>
#include <cstring>

#include <sys/mman.h>
#include <ucontext.h>

#include "device/parallel.hpp"
#include "npu/product.hpp"
#include "support.hpp"

namespace npuenc {
namespace {

// The packed operand. Its pages can be written only while a streaming store is executed.
struct Watched {
    char* begin;
    size_t bytes;
    bool writable, fenced, stored; // stored: not past the caches
    size_t n_streamed;             // instructions
};
Watched watched;

enum class Instruction { streaming_store, fence, other };

Instruction decode(const uint8_t* code) {
    if (code[0] == 0x0f && code[1] == 0xae && code[2] == 0xf8)
        return Instruction::fence; // SFENCE
    // MOVNTDQ or MOVNTPS m128, xmm, and the same of AVX.
    const auto of = [](unsigned prefix, unsigned opcode) {
        return (prefix == 1 && opcode == 0xe7) || (prefix == 0 && opcode == 0x2b)
                   ? Instruction::streaming_store
                   : Instruction::other;
    };
    if (code[0] == 0xc5)
        return of(code[1] & 3, code[2]);
    if (code[0] == 0xc4)
        return (code[1] & 0x1f) == 1 ? of(code[2] & 3, code[3]) : Instruction::other;
    const unsigned prefix = code[0] == 0x66;
    code += prefix;
    code += (code[0] & 0xf0) == 0x40; // REX
    return code[0] == 0x0f ? of(prefix, code[1]) : Instruction::other;
}

void protect(bool writable) {
    if (watched.writable != writable)
        ::mprotect(watched.begin, watched.bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ);
    watched.writable = writable;
}

// Before each instruction.
void on_step(int, siginfo_t*, void* context) {
    const auto* machine = &static_cast<ucontext_t*>(context)->uc_mcontext;
    const auto next = decode(reinterpret_cast<const uint8_t*>(machine->gregs[REG_RIP]));
    protect(next == Instruction::streaming_store);
    if (next == Instruction::streaming_store) {
        ++watched.n_streamed;
        watched.fenced = false;
    } else if (next == Instruction::fence) {
        watched.fenced = true;
    }
}

// A store of another kind: it is let through.
void on_fault(int, siginfo_t* info, void*) {
    const char* address = static_cast<char*>(info->si_addr);
    if (watched.writable || address < watched.begin || address >= watched.begin + watched.bytes)
        std::abort();
    watched.stored = true;
    protect(true);
}

constexpr uint64_t trap_flag = 0x100;

[[gnu::noinline]] void set_stepping(bool on) {
    const uint64_t flags = __builtin_ia32_readeflags_u64();
    __builtin_ia32_writeeflags_u64(on ? flags | trap_flag : flags & ~trap_flag);
}

template <class Body>
void watch(void* begin, size_t bytes, const Body& body) {
    struct sigaction step = {}, fault = {}, old_step, old_fault;
    step.sa_sigaction = on_step;
    fault.sa_sigaction = on_fault;
    step.sa_flags = fault.sa_flags = SA_SIGINFO;
    ::sigaction(SIGTRAP, &step, &old_step);
    ::sigaction(SIGSEGV, &fault, &old_fault);
    watched = {static_cast<char*>(begin), bytes, true, false, false, 0};
    set_stepping(true);
    body();
    set_stepping(false);
    protect(true);
    ::sigaction(SIGTRAP, &old_step, nullptr);
    ::sigaction(SIGSEGV, &old_fault, nullptr);
}

class Pages {
  public:
    explicit Pages(size_t bytes)
        : bytes_(bytes), data_(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0)) {
        assert_true(data_ != MAP_FAILED);
    }
    ~Pages() { ::munmap(data_, bytes_); }
    Pages(const Pages&) = delete;
    Pages& operator=(const Pages&) = delete;

    char* data() const { return static_cast<char*>(data_); }

  private:
    const size_t bytes_;
    void* const data_;
};

// With bands behind the last row, and depth that is no whole tile.
void operands_are_streamed(void**) {
    constexpr size_t m = 20, k = 70;
    const std::vector<char> rows(m * k * sizeof(uint16_t), 0x3c);
    for (const GemmOverlay* overlay : gemm_overlays) {
        const Product product(*overlay, m, 1, k);
        const Pages packed(product.a_bytes());
        const size_t element = overlay->operand_type == NPUENC_S8 ? 1 : 2;
        Serial thread;
        watch(packed.data(), product.a_bytes(), [&] {
            product.pack_a_by_tasks(thread, [&](size_t band, unsigned) {
                const size_t row = std::min(band * band_rows, m);
                product.pack_a_band(band, rows.data() + row * k * element, k, packed.data());
            });
        });
        assert_false(watched.stored);
        assert_true(watched.fenced);
        const GemmTiling tiling(*overlay, m, 1, k);
        assert_int_equal(watched.n_streamed * sizeof(Pair), tiling.a_bytes());
    }
}

// That the watch sees what it should.
void others_are_seen(void**) {
    const Pages memory(4096);
    watch(memory.data(), 4096, [&] { stream(memory.data(), Pair{1, 2}); });
    assert_false(watched.stored);
    assert_false(watched.fenced);
    assert_int_equal(watched.n_streamed, 1);
    watch(memory.data(), 4096, [&] {
        stream(memory.data(), Pair{1, 2});
        end_streaming();
    });
    assert_true(watched.fenced);
    watch(memory.data(), 4096, [&] { *static_cast<volatile char*>(memory.data() + 100) = 1; });
    assert_true(watched.stored);
    assert_int_equal(watched.n_streamed, 0);
}

} // namespace
} // namespace npuenc

int main() {
    using namespace npuenc;
    const CMUnitTest tests[] = {
        cmocka_unit_test(others_are_seen),
        cmocka_unit_test(operands_are_streamed),
    };
    return cmocka_run_group_tests_name("streaming", tests, nullptr, nullptr);
}

#else

int main() {
    std::puts("streaming stores are those of x86-64");
    return 77;
}

#endif

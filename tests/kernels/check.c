/* SPDX-License-Identifier: MIT
 *
 * Every kernel of every instruction set that this CPU has, against its definition; with --bench,
 * what the kernels reach. Options: --isa NAME, --seed N, --quick, --bench, and
 * --emulated, which lets kernels read past their operands: qemu-user loads a masked vector whole.
 */
#include "check.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { shown_failures = 5 };

void begin(Check* check, const char* kernel) {
    check->kernel = kernel;
    check->failures = 0;
}

void end(Check* check) {
    if (check->failures) {
        printf("%-10s %-24s %d failures\n", check->kernels.isa, check->kernel, check->failures);
        check->failed_kernels++;
    } else {
        printf("%-10s %-24s ok\n", check->kernels.isa, check->kernel);
    }
    fflush(stdout);
}

void fail(Check* check, const char* format, ...) {
    if (check->failures++ >= shown_failures)
        return;
    printf("%s %s: ", check->kernels.isa, check->kernel);
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf(" (--seed %llu)\n", (unsigned long long)check->seed);
}

static Check current;

/* A kernel that leaves its operands or its CPU ends here. */
static void report_fault(int signal) {
    printf("%s %s: signal %d (--seed %llu)\n", current.kernels.isa, current.kernel, signal,
           (unsigned long long)current.seed);
    fflush(stdout);
    _Exit(1);
}

static int run(Check* check, const char* isa, int with_bench) {
    const int status = npuenc_kernels_init(&check->kernels, isa);
    if (status == NPUENC_KERNELS_LACKING_ISA) {
        printf("%-10s not on this CPU\n", isa);
        return 0;
    }
    if (status != NPUENC_KERNELS_OK) {
        fprintf(stderr, "no instruction set is called '%s'\n", isa);
        return -1;
    }
    if (with_bench) {
        bench(&check->kernels);
        return 1;
    }
    check->random = check->seed;
    check_init(check);
    check_gemm(check);
    check_finish(check);
    check_softmax(check);
    check_rows(check);
    check_convert(check);
    check_unpack(check);
    return 1;
}

int main(int argc, char** argv) {
    Check* check = &current;
    const char* only = NULL;
    int with_bench = 0;
    check->seed = (uint64_t)time(NULL);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0) {
            check->quick = 1;
        } else if (strcmp(argv[i], "--emulated") == 0) {
            guarded_allow_reading();
        } else if (strcmp(argv[i], "--bench") == 0) {
            with_bench = 1;
        } else if (strcmp(argv[i], "--isa") == 0 && i + 1 < argc) {
            only = argv[++i];
        } else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
            char* rest;
            errno = 0;
            check->seed = strtoull(argv[++i], &rest, 10);
            if (errno || *rest || rest == argv[i]) {
                fprintf(stderr, "not a number: '%s'\n", argv[i]);
                return 2;
            }
        } else {
            fprintf(stderr,
                    "usage: check [--isa NAME] [--seed N] [--quick] [--emulated] [--bench]\n");
            return 2;
        }
    }

    signal(SIGSEGV, report_fault);
    signal(SIGBUS, report_fault);
    signal(SIGILL, report_fault);
    if (!with_bench)
        printf("seed %llu\n", (unsigned long long)check->seed);
    if (only) {
        const int done = run(check, only, with_bench);
        return done < 0 ? 2 : done == 0 ? 77 : check->failed_kernels != 0;
    }
    for (const char* const* isa = npuenc_kernels_isas(); *isa; isa++)
        run(check, *isa, with_bench);
    return check->failed_kernels != 0;
}

/*
 * inspect_fuzz.c - what inspect reads of a process and of its files; the first byte of the
 * input tells as what the rest is taken. Of a file: a start that is found lies before what it
 * was asked for. Of code: a candidate is one of the instructions' bytes, candidates come in
 * order, and no judgement reads beyond the code.
 */
#include "asm/arch.h"
#include "engine/function_starts.h"
#include "engine/inspect.h"

#include "tests/fuzz/fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

static void texts_try(const uint8_t *input, size_t size)
{
    char *text = fuzz_text(input, size);
    const char *rest = text;
    struct thread_call call;
    struct deadline_wait wait;
    struct timerfd_info info;
    clockid_t clock;
    if (thread_call_parse(text, &call) && deadline_wait_find(&call, &wait))
        fuzz_check(!call.running && wait.timespec != 0 && wait.name != NULL);
    if (timerfd_info_parse(text, &info))
        fuzz_check(strstr(text, "clockid") != NULL);
    while (posix_timer_parse(&rest, &clock))
        fuzz_check(rest > text && rest <= text + size);
    free(text);
}

static void code_try(const uint8_t *input, size_t size)
{
    /* malloc(3) of exactly that much, so that ASan sees each step beyond it. */
    uint8_t *code = malloc(size + (size == 0));
    fuzz_check(code != NULL);
    memcpy(code, input, size);
    size_t from = 0;
    for (size_t at; (at = arch_time_candidate(code, size, from)) < size; from = at + 1) {
        fuzz_check(at >= from && at + 1 < size && code[at] == 0x0f);
        enum arch_time_read kind = arch_time_read_at(code, size, at, at);
        fuzz_check((kind == ARCH_TIME_COUNTER) == (code[at + 1] != 0x05));
        fuzz_check(kind != ARCH_TIME_CALL);
        arch_time_read_at(code, size, 0, at);
        arch_time_read_guess(code, size, at);
    }
    free(code);
}

static void file_try(const uint8_t *input, size_t size)
{
    static int file = -1;
    struct function_starts starts;
    uint64_t start;
    if (file < 0)
        file = memfd_create("elf", MFD_CLOEXEC);
    fuzz_check(ftruncate(file, 0) == 0 && pwrite(file, input, size, 0) == (ssize_t)size);
    bool read = function_starts_read(file, &starts);
    fuzz_check(read == (starts.count != 0));
    for (size_t s = 0; s < starts.segment_count; s++) {
        uint64_t first = starts.segments[s].offset, length = starts.segments[s].size;
        uint64_t wanted[] = {first, first + length / 2, first + length - 1, first + length};
        for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
            if (function_start_find(&starts, wanted[i], &start))
                fuzz_check(start <= wanted[i]);
    }
    function_starts_release(&starts);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    if (size == 0)
        return 0;
    switch (input[0] % 3) {
    case 0:
        texts_try(input + 1, size - 1);
        break;
    case 1:
        code_try(input + 1, size - 1);
        break;
    default:
        file_try(input + 1, size - 1);
        break;
    }
    return 0;
}

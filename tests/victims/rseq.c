/*
 * rseq - two threads on one processor that never rest, the main thread one of
 * them; they count in one place with restartable sequences (rseq(2)), without locks: an
 * increment is lost if a thread goes on in the middle of a sequence after the
 * other has run. "check" holds both between two sequences and compares with
 * what each counted by itself. PROGRESS is that count. It says "unsupported"
 * in place of "ready" where the C library has registered no restartable
 * sequences.
 */
#include "dialogue.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>

static volatile uint64_t counter;
static _Atomic uint64_t counted[2];
static atomic_bool hold, held;

static struct rseq *own_area(void)
{
    return (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
}

/*
 * Reads the counter, waits some ten microseconds so that nearly every stop
 * falls into it, and writes the counter back, one higher. False if it was
 * aborted. The word before the abort handler is the signature that glibc
 * registered: RSEQ_SIG.
 */
static bool count_once(struct rseq *area)
{
    __asm__ goto volatile(".pushsection __rseq_cs, \"aw\"\n"
                          ".balign 32\n"
                          "3: .long 0, 0\n"
                          ".quad 1f, 2f - 1f, 4f\n"
                          ".popsection\n"
                          "lea 3b(%%rip), %%rax\n"
                          "mov %%rax, %[sequence]\n"
                          "1: mov %[counter], %%rdx\n"
                          "mov $20000, %%rcx\n"
                          "5: dec %%rcx\n"
                          "jnz 5b\n"
                          "inc %%rdx\n"
                          "mov %%rdx, %[counter]\n"
                          "2: jmp 6f\n"
                          ".pushsection .text.abort, \"ax\"\n"
                          ".long 0x53053053\n"
                          "4: jmp %l[aborted]\n"
                          ".popsection\n"
                          "6:\n"
                          :
                          : [sequence] "m"(area->rseq_cs), [counter] "m"(counter)
                          : "rax", "rcx", "rdx", "memory", "cc"
                          : aborted);
    return true;
aborted:
    return false;
}

static void count(int worker, int times)
{
    struct rseq *area = own_area();
    for (int i = 0; i < times; i++)
        if (count_once(area))
            atomic_fetch_add(&counted[worker], 1);
}

static void *count_forever(void *unused)
{
    for (;;) {
        count(1, 1);
        while (atomic_load(&hold)) {
            atomic_store(&held, true);
            usleep(100);
        }
        atomic_store(&held, false);
    }
    return unused;
}

/* Waits at most 10 s. */
static bool other_becomes(bool value)
{
    for (int tries = 0; tries < 10000 && atomic_load(&held) != value; tries++)
        usleep(1000);
    return atomic_load(&held) == value;
}

static void answer_line(const char *line, char *answer, size_t size)
{
    (void)line;
    atomic_store(&hold, true);
    bool quiet = other_becomes(true);
    uint64_t sum = atomic_load(&counted[0]) + atomic_load(&counted[1]);
    if (!quiet)
        snprintf(answer, size, "bad a thread stands still");
    else if (sum != counter)
        snprintf(answer, size, "bad %ld increments lost", (long)(sum - counter));
    else
        snprintf(answer, size, "ok %lu", sum);
    atomic_store(&hold, false);
    /* Else the next line could find it held from this time. */
    other_becomes(false);
}

static bool share_one_processor(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return false;
    int processor = 0;
    while (!CPU_ISSET(processor, &set))
        processor++;
    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    return sched_setaffinity(0, sizeof set, &set) == 0;
}

int main(void)
{
    if (__rseq_size == 0) {
        puts("unsupported");
        return 0;
    }
    pthread_t other;
    if (!share_one_processor() || pthread_create(&other, NULL, count_forever, NULL) != 0)
        return 1;
    dialogue_open();
    for (;;) {
        count(0, 50);
        dialogue_poll(0, answer_line);
    }
}

#else

int main(void)
{
    puts("unsupported");
}

#endif

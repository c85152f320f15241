/*
 * deadlines - all by which a program can go by time without reading a clock through the
 * vDSO, each to be turned on and off:
 *     on KIND, off KIND   "ok" once it is done; a thread may take a moment to wait
 * where KIND is
 *     cond, monotonic     a condition variable with a deadline of realtime, of that clock
 *     later               cond, two hours away
 *     nanosleep           clock_nanosleep until a time of realtime
 *     waitv               futex_waitv until a time of realtime
 *     queue               mq_timedreceive, which is by realtime
 *     interval            poll for a length of time
 *     absolute, relative  a timerfd of realtime
 *     timer               a POSIX timer of realtime
 *     ring                an io_uring
 *     code                2 MiB of memory of no file with three rdtsc
 * All other deadlines are an hour away. Its own text has one rdtsc, one rdtscp and one system call
 * for clock_gettime, and the bytes of each in the middle of other instructions.
 */
#include "dialogue.h"

#include <errno.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define HOUR 3600

static _Atomic bool waiting[8];

static struct timespec in_an_hour(clockid_t clock)
{
    struct timespec end;
    clock_gettime(clock, &end);
    end.tv_sec += HOUR;
    return end;
}

static void wait_cond(clockid_t clock, int hours)
{
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_condattr_t attributes;
    pthread_cond_t condition;
    struct timespec end = in_an_hour(clock);
    end.tv_sec += (hours - 1) * HOUR;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, clock);
    pthread_cond_init(&condition, &attributes);
    pthread_mutex_lock(&mutex);
    pthread_cond_timedwait(&condition, &mutex, &end);
    pthread_mutex_unlock(&mutex);
}

static void wait_waitv(void)
{
    uint32_t word = 0;
    struct {
        uint64_t value, address;
        uint32_t flags, reserved;
    } waiter = {.address = (uintptr_t)&word, .flags = 2 | FUTEX_PRIVATE_FLAG};
    struct timespec end = in_an_hour(CLOCK_REALTIME);
    syscall(449, &waiter, 1, 0, &end, CLOCK_REALTIME);
}

static void wait_queue(void)
{
    struct mq_attr attributes = {.mq_maxmsg = 1, .mq_msgsize = 1};
    struct timespec end = in_an_hour(CLOCK_REALTIME);
    char name[32], byte;
    snprintf(name, sizeof name, "/deadlines%d", getpid());
    mqd_t queue = mq_open(name, O_RDWR | O_CREAT, 0600, &attributes);
    mq_unlink(name);
    mq_timedreceive(queue, &byte, 1, NULL, &end);
    mq_close(queue);
}

static const char *const waits[] = {"cond",  "monotonic", "later",   "nanosleep",
                                    "waitv", "queue",     "interval"};
#define WAITS (sizeof waits / sizeof *waits)
static pthread_t threads[WAITS];

static void *wait_run(void *argument)
{
    size_t kind = (size_t)(uintptr_t)argument;
    struct timespec end = in_an_hour(CLOCK_REALTIME);
    while (waiting[kind]) {
        switch (kind) {
        case 0:
            wait_cond(CLOCK_REALTIME, 1);
            break;
        case 1:
            wait_cond(CLOCK_MONOTONIC, 1);
            break;
        case 2:
            wait_cond(CLOCK_REALTIME, 2);
            break;
        case 3:
            clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &end, NULL);
            break;
        case 4:
            wait_waitv();
            break;
        case 5:
            wait_queue();
            break;
        default:
            poll(NULL, 0, HOUR * 1000);
            break;
        }
    }
    return NULL;
}

static bool wait_turn(size_t kind, bool on)
{
    if (on) {
        waiting[kind] = true;
        return pthread_create(&threads[kind], NULL, wait_run, (void *)(uintptr_t)kind) == 0;
    }
    waiting[kind] = false;
    /* A condition variable waits on after a handler: pthread_cond_timedwait(3). */
    bool on_condition = kind < 3;
    pthread_t thread = threads[kind];
    if (on_condition)
        pthread_cancel(thread);
    while (pthread_tryjoin_np(thread, NULL) != 0) {
        if (!on_condition)
            pthread_kill(thread, SIGUSR1);
        usleep(1000);
    }
    return true;
}

static bool timerfd_turn(bool absolute, bool on)
{
    static int timers[2];
    struct itimerspec value = {.it_value = {HOUR, 0}};
    if (!on)
        return close(timers[absolute]) == 0;
    if (absolute)
        value.it_value = in_an_hour(CLOCK_REALTIME);
    timers[absolute] = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC);
    return timerfd_settime(timers[absolute], absolute ? TFD_TIMER_ABSTIME : 0, &value, NULL) == 0;
}

static bool timer_turn(bool on)
{
    static timer_t timer;
    struct sigevent nothing = {.sigev_notify = SIGEV_NONE};
    struct itimerspec value = {.it_value = {HOUR, 0}};
    return on ? timer_create(CLOCK_REALTIME, &nothing, &timer) == 0 &&
                    timer_settime(timer, 0, &value, NULL) == 0
              : timer_delete(timer) == 0;
}

/* Each beside its bytes as an operand, which is no such instruction; one across a whole MiB. */
static bool code_turn(bool on)
{
    enum { MIB = 1 << 20, SIZE = 2 * MIB };
    static unsigned char *code;
    static const unsigned char rdtsc[] = {0xb8, 0x0f, 0x31, 0, 0, 0x0f, 0x31};
    if (!on)
        return munmap(code, SIZE) == 0;
    code = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(code, 0x90, SIZE);
    memcpy(code + 256, rdtsc, sizeof rdtsc);
    memcpy(code + MIB - 200, rdtsc, sizeof rdtsc);
    memcpy(code + MIB - 6, rdtsc, sizeof rdtsc);
    return mprotect(code, SIZE, PROT_READ | PROT_EXEC) == 0;
}

static bool ring_turn(bool on)
{
    static int ring;
    static char parameters[120]; /* struct io_uring_params */
    if (!on)
        return close(ring) == 0;
    ring = (int)syscall(SYS_io_uring_setup, 1, parameters);
    return ring >= 0;
}

static bool turn(const char *kind, bool on)
{
    for (size_t i = 0; i < WAITS; i++)
        if (strcmp(kind, waits[i]) == 0)
            return wait_turn(i, on);
    if (strcmp(kind, "absolute") == 0 || strcmp(kind, "relative") == 0)
        return timerfd_turn(kind[0] == 'a', on);
    if (strcmp(kind, "timer") == 0)
        return timer_turn(on);
    if (strcmp(kind, "ring") == 0)
        return ring_turn(on);
    return strcmp(kind, "code") == 0 && code_turn(on);
}

/* Never called with anything to do; what matters is that it is there. */
__attribute__((noinline)) static long time_read_directly(void)
{
    long result = 0x310f;
    struct timespec now;
    __asm__ volatile("rdtsc\n\trdtscp\n\t"
                     "movl $228, %%eax\n\txorl %%edi, %%edi\n\tmovq %1, %%rsi\n\tsyscall\n\t"
                     "movl $0x00310f00, %%ecx\n\tmovl $0x00050f00, %%ecx\n\t"
                     "movl $0x00f9010f, %%ecx"
                     : "=&a"(result)
                     : "r"(&now)
                     : "rcx", "rdx", "rdi", "rsi", "r11", "memory");
    return result;
}

static void answer_line(const char *line, char *answer, size_t size)
{
    if (strcmp(line, "check") == 0)
        snprintf(answer, size, "ok %ld", time_read_directly());
    else if (strncmp(line, "on ", 3) == 0 && turn(line + 3, true))
        snprintf(answer, size, "ok");
    else if (strncmp(line, "off ", 4) == 0 && turn(line + 4, false))
        snprintf(answer, size, "ok");
    else
        snprintf(answer, size, "bad %s: %s", line, strerror(errno));
}

static void handle(int signal)
{
    (void)signal;
}

int main(void)
{
    struct sigaction action = {.sa_handler = handle};
    sigaction(SIGUSR1, &action, NULL);
    dialogue_open();
    for (;;)
        dialogue_poll(-1, answer_line);
}

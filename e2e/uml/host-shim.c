/* Preloaded into user-mode Linux 6.1 on the host.
 *
 * 1. PTRACE_SETREGSET of the extended state must carry the host's whole area or fails with EFAULT. UML's buffer is
 *    2,696 bytes; with AMX the host's area is 11,008, and UML dies at boot. Here the buffer is padded with zeros, and the
 *    states that it does not hold are marked as absent.
 * 2. E2E_WRITE_DELAY_US=N makes each write to a disk image take N microseconds longer. UML 6.1 drops the guest's
 *    flushes, so without it a `sync` export costs next to nothing. Writes are made by a helper process of UML's.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define NT_X86_XSTATE 0x202
/* Offset of XSTATE_BV in the area, and the components that every x86-64 host has: x87 to PKRU. */
#define XSTATE_BV 512
#define KNOWN_COMPONENTS 0x2ffUL

static size_t host_area; /* 0: not asked yet */

static long set_xstate(int pid, const struct iovec *given)
{
    static char area[65536] __attribute__((aligned(64)));
    if (!host_area) {
        struct iovec probe = { area, sizeof area };
        if (syscall(SYS_ptrace, PTRACE_GETREGSET, pid, NT_X86_XSTATE, &probe) < 0)
            return -1;
        host_area = probe.iov_len;
    }
    if (given->iov_len >= host_area)
        return syscall(SYS_ptrace, PTRACE_SETREGSET, pid, NT_X86_XSTATE, given);

    memset(area, 0, host_area);
    memcpy(area, given->iov_base, given->iov_len);
    unsigned long present;
    memcpy(&present, area + XSTATE_BV, sizeof present);
    present &= KNOWN_COMPONENTS;
    memcpy(area + XSTATE_BV, &present, sizeof present);
    struct iovec whole = { area, host_area };
    return syscall(SYS_ptrace, PTRACE_SETREGSET, pid, NT_X86_XSTATE, &whole);
}

long ptrace(enum __ptrace_request request, ...)
{
    va_list args;
    va_start(args, request);
    int pid = va_arg(args, int);
    void *addr = va_arg(args, void *);
    void *data = va_arg(args, void *);
    va_end(args);

    if (request == PTRACE_SETREGSET && (long)addr == NT_X86_XSTATE)
        return set_xstate(pid, data);
    if (request >= PTRACE_PEEKTEXT && request <= PTRACE_PEEKUSER) {
        /* The system call stores what it read; the library function returns it. */
        long word;
        if (syscall(SYS_ptrace, request, pid, addr, &word) < 0)
            return -1;
        errno = 0;
        return word;
    }
    return syscall(SYS_ptrace, request, pid, addr, data);
}

static struct timespec write_delay;

__attribute__((constructor)) static void read_delay(void)
{
    const char *us = getenv("E2E_WRITE_DELAY_US");
    long n = us ? atol(us) : 0;
    write_delay.tv_sec = n / 1000000;
    write_delay.tv_nsec = n % 1000000 * 1000;
}

static ssize_t slow_write(int fd, const void *data, size_t size, off_t offset)
{
    ssize_t written = syscall(SYS_pwrite64, fd, data, size, offset);
    if (write_delay.tv_sec || write_delay.tv_nsec)
        syscall(SYS_nanosleep, &write_delay, NULL);
    return written;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) { return slow_write(fd, data, size, offset); }
ssize_t pwrite64(int fd, const void *data, size_t size, off_t offset) { return slow_write(fd, data, size, offset); }

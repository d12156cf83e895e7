/* Put before the C library of the emulator (LD_PRELOAD): the date is SECONDS, and the time goes on
 * from there. */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && clock == CLOCK_REALTIME)
        now->tv_sec = SECONDS + now->tv_sec % 1000;
    return result;
}

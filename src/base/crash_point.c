#include "base/crash_point.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char wanted[64];
static int wanted_signal = SIGKILL;
static atomic_int visits_left;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void read_environment(void)
{
    const char *text = getenv("DM_CRASH_AT");
    if (text == NULL) {
        text = getenv("DM_STOP_AT");
        wanted_signal = SIGSTOP;
    }
    if (text == NULL)
        return;
    const char *colon = strchr(text, ':');
    size_t n = colon != NULL ? (size_t)(colon - text) : strlen(text);
    if (n >= sizeof wanted)
        return;
    memcpy(wanted, text, n);
    visits_left = colon != NULL ? (int)strtol(colon + 1, NULL, 10) : 1;
}

void dm_crash_point(const char *name)
{
    (void)pthread_once(&once, read_environment);
    if (wanted[0] != '\0' && strcmp(name, wanted) == 0 && atomic_fetch_sub(&visits_left, 1) == 1)
        (void)kill(getpid(), wanted_signal);
}

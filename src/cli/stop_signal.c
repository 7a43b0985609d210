#include "cli/stop_signal.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

static atomic_int stop; /* read by all threads; without a lock, so a handler may write it */
static atomic_int quiet;

static _Noreturn void on_alarm(int number)
{
    (void)number;
    _exit(128 + SIGINT);
}

static void say(const char *text)
{
    ssize_t ignored = write(STDERR_FILENO, text, strlen(text));
    (void)ignored;
}

static void on_signal(int number)
{
    int before = errno;
    (void)number;
    if (stop == 0) {
        stop = 1;
        if (!quiet)
            say("\nstopping cleanly; once more to stop at once\n");
    } else {
        stop = 2;
        (void)alarm(1);
    }
    errno = before;
}

const atomic_int *dm_stop_signal_install_quiet(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    quiet = 1;
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    action.sa_handler = on_alarm;
    (void)sigaction(SIGALRM, &action, NULL);
    return &stop;
}

const atomic_int *dm_stop_signal_install(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigemptyset(&ignore.sa_mask);
    (void)dm_stop_signal_install_quiet();
    (void)sigaction(SIGPIPE, &ignore, NULL);
    quiet = !isatty(STDERR_FILENO); /* words for a person, not for a log */
    return &stop;
}

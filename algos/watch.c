/* Hydra, the launcher of MPICH, kills all processes of a job as soon as one dies, and then names one of them, not
 * always the one that died. So a child of one of a machine's processes listens to them all: the kernel closes the line
 * of a process that dies, whatever it died of, and the watcher says which was the first. It is a process, since nothing
 * inside the others outlives the launcher's SIGKILL, and in a session of its own, since the launcher signals whole
 * groups. What it needs of a process is one connection and one word, so it costs nothing while all goes well; where
 * anything here fails nobody watches, and the run goes on. SPDX-License-Identifier: MIT */
#include "watch.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* Words: a rank from 0 on says "I am here"; and these. */
enum { LEAVES = -1, OVER = -2 };

/* ---- The watcher ---- */

/* What a line is about travels in its event: which it is, and the last word heard on it. */
static void expect(int queue, int how, int line, int32_t word)
{
    uint64_t about = (uint64_t)(uint32_t)word << 32 | (uint32_t)line;
    struct epoll_event event = { .events = EPOLLIN, .data.u64 = about };
    epoll_ctl(queue, how, line, &event);
}

static struct ucred peer(int line)
{
    struct ucred who = { .pid = 0, .uid = (uid_t)-1 };
    socklen_t size = sizeof who;
    getsockopt(line, SOL_SOCKET, SO_PEERCRED, &who, &size);
    return who;
}

static void report(int line, int rank)
{
    char host[65] = "";
    gethostname(host, sizeof host - 1);
    dprintf(STDERR_FILENO,
            "%s: rank %d (process %d on %s) died, before any other on that machine: killed, or crashed\n",
            program_invocation_short_name, rank, (int)peer(line).pid, host);
}

/* Events come one at a time, in the order in which they happened: a process that the launcher kills because of another
 * one's death cannot come before that one, however late the watcher wakes up. One that fails for want of the other can,
 * rarely: memory goes before lines do, and MPICH reads large messages right out of another process's memory. */
static void watch(int listener)
{
    int queue = epoll_create1(EPOLL_CLOEXEC), lines = 0;
    struct epoll_event event;
    expect(queue, EPOLL_CTL_ADD, listener, LEAVES);
    do {
        int got = epoll_wait(queue, &event, 1, -1);
        if (got < 0 && errno == EINTR) continue;
        if (got < 1) return;
        int line = (int)(uint32_t)event.data.u64;
        int32_t before = (int32_t)(event.data.u64 >> 32), word;
        if (line == listener) {
            int fresh = accept(listener, NULL, NULL);
            if (fresh < 0) return;
            if (peer(fresh).uid != getuid()) { /* anyone may call */
                close(fresh);
                continue;
            }
            expect(queue, EPOLL_CTL_ADD, fresh, LEAVES);
            lines++;
        } else if (recv(line, &word, sizeof word, 0) == sizeof word) {
            if (word == OVER) return;
            expect(queue, EPOLL_CTL_MOD, line, word);
        } else if (before >= 0) {
            report(line, before);
            return;
        } else {
            close(line);
            lines--;
        }
    } while (lines);
}

static void close_all_but(int most)
{
    DIR *open = opendir("/proc/self/fd");
    for (struct dirent *entry; open && (entry = readdir(open));) {
        int fd = atoi(entry->d_name);
        if (fd > most && fd != dirfd(open)) close(fd);
    }
    if (open) closedir(open);
}

/* A launcher takes a process for ended when nobody holds its pipes: only standard error stays open. */
static void become_watcher(int listener)
{
    setsid();
    signal(SIGINT, SIG_IGN);
    prctl(PR_SET_NAME, "qgm-watch");
    if (dup2(listener, STDIN_FILENO) < 0) _exit(1);
    close(STDOUT_FILENO);
    close_all_but(STDERR_FILENO);
    watch(STDIN_FILENO);
    _exit(0);
}

/* ---- Those it watches ---- */

static void say(const struct qgm_watch *w, int32_t word)
{
    if (w->line >= 0) (void)!send(w->line, &word, sizeof word, MSG_NOSIGNAL);
}

static int call(const struct qgm_watch *to)
{
    struct sockaddr_un address;
    int line = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    memcpy(&address, to->name, to->length);
    if (line < 0 || connect(line, (struct sockaddr *)&address, to->length) == 0) return line;
    close(line);
    return -1;
}

/* As a descriptor above those of the launcher: the last one is the first that Linux lets go when a process dies
 * (task_work, since 4.3). Were its line to the launcher first, the launcher would kill the others meanwhile. */
static int above_all(int line)
{
    struct rlimit most = { .rlim_cur = 256 };
    getrlimit(RLIMIT_NOFILE, &most);
    int high = line < 0 ? -1 : fcntl(line, F_DUPFD_CLOEXEC, most.rlim_cur < 1024 ? (int)most.rlim_cur - 1 : 1023);
    if (high < 0) return line;
    close(line);
    return high;
}

void qgm_watch_open(struct qgm_watch *w)
{
    struct sockaddr_un any = { .sun_family = AF_UNIX }, named;
    socklen_t length = sizeof named;
    *w = (struct qgm_watch){ .line = -1 };
    int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (listener < 0) return;
    /* Bound to no name it gets a free one that is in no folder. */
    if (bind(listener, (struct sockaddr *)&any, sizeof any.sun_family) == 0 &&
        getsockname(listener, (struct sockaddr *)&named, &length) == 0 && listen(listener, SOMAXCONN) == 0) {
        memcpy(w->name, &named, w->length = length);
        w->line = above_all(call(w));
        if (w->line >= 0) w->child = fork();
        if (w->line >= 0 && w->child == 0) become_watcher(listener);
    }
    close(listener);
}

void qgm_watch_join(struct qgm_watch *w, const struct qgm_watch *leader, int rank)
{
    if (w->line < 0) return;
    if (leader != w) {
        int line = leader->line < 0 ? -1 : call(leader);
        if (line < 0 || dup2(line, w->line) < 0) { /* its own watcher hears no more of it, and ends */
            close(w->line);
            w->line = -1;
        }
        if (line >= 0) close(line);
        if (w->child > 0) waitpid(w->child, NULL, 0);
    }
    say(w, rank);
}

void qgm_watch_bye(struct qgm_watch *w, bool over)
{
    say(w, over ? OVER : LEAVES);
    if (w->line >= 0) close(w->line);
    w->line = -1;
}

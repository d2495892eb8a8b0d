/* A network for tests: a switch that joins network namespaces, each host by a line of its own with a rate, with a delay
 * and lost packets on the way. In user space, through TUN devices, since kernels of virtual machines and containers
 * seldom have tc's netem. Needs the rights of root.
 *   usage: link MBIT-S DELAY-US LOSS-PERCENT NAMESPACE NAMESPACE...      10.77.0.1, 10.77.0.2, ... until killed
 * A packet takes its length by the rate to leave, the delay, and waits for the line of whom it goes to. Losses are
 * drawn from a fixed seed. TCP starts with open windows: short runs are to show what messages cost, not slow start.
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

/* Hosts hand over long packets with a header that says how to cut them up (TCP segmentation offload), as to an adapter:
 * cut by the hosts they would cost the processors that these compute with, at 1 Gbit/s about as much as there is. */
enum { MOST_HOSTS = 16, MTU = 1500, HEADER = sizeof(struct virtio_net_hdr), LONGEST = 65550 + HEADER, QUEUE = 1 << 12 };

struct packet {
    double due; /* seconds */
    int to;
    int bytes;
    unsigned char data[LONGEST]; /* from HEADER on: IP */
};
struct queue { /* in the order packets are due */
    struct packet *packet[QUEUE];
    unsigned head, tail;
};
struct host {
    int device;
    double sends_until, receives_until; /* its line is busy */
    struct queue out, in;               /* on their way to the switch; from there to it */
};

static struct host hosts[MOST_HOSTS];
static int count;
static double bytes_per_s, delay, loss;

static void die(const char *what)
{
    fprintf(stderr, "link: %s: %s\n", what, strerror(errno));
    exit(77); /* skipped: not permitted here */
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void bring_up(int number)
{
    char command[400];
    snprintf(
        command, sizeof command,
        "ip addr add 10.77.0.%d/24 dev qgm0 && ip link set qgm0 mtu %d txqueuelen 10000 up && ip link set lo up && "
        "ip route change 10.77.0.0/24 dev qgm0 src 10.77.0.%d initcwnd 1000 initrwnd 1000 && "
        "sysctl -qw net.ipv4.tcp_rmem='4096 4194304 8388608' net.ipv4.tcp_wmem='4096 4194304 8388608'",
        number, MTU, number);
    if (system(command) != 0) die(command);
}

/* A device in that namespace, whose packets come here. */
static void open_host(const char *name)
{
    char path[200];
    struct ifreq device = { .ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR };
    snprintf(path, sizeof path, "/var/run/netns/%s", name);
    snprintf(device.ifr_name, sizeof device.ifr_name, "qgm0");
    int space = open(path, O_RDONLY | O_CLOEXEC);
    if (space < 0 || setns(space, CLONE_NEWNET) < 0) die(path);
    close(space);
    struct host *h = &hosts[count++];
    h->device = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (h->device < 0 || ioctl(h->device, TUNSETIFF, &device) < 0 ||
        ioctl(h->device, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4) < 0)
        die("/dev/net/tun");
    bring_up(count);
}

static bool lost(void)
{
    static uint64_t state = 88172645463325252u; /* xorshift */
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (double)(state >> 11) * 0x1p-53 < loss;
}

static struct packet *first(const struct queue *q) { return q->head == q->tail ? NULL : q->packet[q->head % QUEUE]; }

/* One packet of host i, on its way. */
static bool take(int i)
{
    static struct packet *p;
    if (!p) p = malloc(sizeof *p);
    if (!p) die("memory");
    p->bytes = (int)read(hosts[i].device, p->data, sizeof p->data);
    if (p->bytes <= 0) return false;
    const unsigned char *ip = p->data + HEADER;
    p->to = ip[0] >> 4 == 4 && p->bytes >= HEADER + 20 ? ip[19] - 1 : -1; /* IPv4: 10.77.0.(to + 1) */
    struct host *from = &hosts[i];
    if (p->to < 0 || p->to >= count || p->to == i || from->out.tail - from->out.head == QUEUE || lost()) return true;
    double time = now();
    from->sends_until = (from->sends_until > time ? from->sends_until : time) + (p->bytes - HEADER) / bytes_per_s;
    p->due = from->sends_until + delay;
    from->out.packet[from->out.tail++ % QUEUE] = p;
    p = NULL;
    return true;
}

/* The switch: what has come, in the order it came, waits for the line of the host it goes to. */
static double forward(double time)
{
    for (;;) {
        struct host *next = &hosts[0];
        for (int i = 1; i < count; i++)
            if (first(&hosts[i].out) && (!first(&next->out) || first(&hosts[i].out)->due < first(&next->out)->due))
                next = &hosts[i];
        struct packet *p = first(&next->out);
        if (!p || p->due > time) return p ? p->due : 1e300;
        struct host *to = &hosts[p->to];
        next->out.head++;
        if (to->in.tail - to->in.head == QUEUE) {
            free(p);
            continue;
        }
        double after = to->receives_until + (p->bytes - HEADER) / bytes_per_s;
        if (p->due < after) p->due = after;
        to->receives_until = p->due;
        to->in.packet[to->in.tail++ % QUEUE] = p;
    }
}

/* Hand over what is due; when is the next? */
static double deliver(void)
{
    double time = now(), next = forward(time);
    for (int i = 0; i < count; i++) {
        struct host *h = &hosts[i];
        for (; first(&h->in) && first(&h->in)->due <= time; h->in.head++) {
            struct packet *p = first(&h->in);
            if (write(h->device, p->data, (size_t)p->bytes) < 0 && errno != EAGAIN && errno != EIO) die("write");
            free(p);
        }
        if (first(&h->in) && first(&h->in)->due < next) next = first(&h->in)->due;
    }
    return next;
}

int main(int argc, char **argv)
{
    if (argc < 6 || argc > 4 + MOST_HOSTS) {
        fprintf(stderr, "usage: link MBIT-S DELAY-US LOSS-PERCENT NAMESPACE NAMESPACE...\n");
        return 2;
    }
    bytes_per_s = atof(argv[1]) * 1e6 / 8;
    delay = atof(argv[2]) * 1e-6;
    loss = atof(argv[3]) * 1e-2;
    for (int i = 4; i < argc; i++) open_host(argv[i]);
    struct sched_param real_time = { .sched_priority = 1 }; /* a network does not wait for the hosts' processors */
    sched_setscheduler(0, SCHED_FIFO, &real_time);
    prctl(PR_SET_TIMERSLACK, 1000UL, 0, 0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
    puts("ready");
    fflush(stdout);
    for (struct pollfd wait[MOST_HOSTS];;) {
        for (int i = 0; i < count; i++) {
            for (int k = 0; k < 64 && take(i); k++) continue;
            wait[i] = (struct pollfd){ .fd = hosts[i].device, .events = POLLIN };
        }
        double next = deliver() - now();
        if (next > 1) next = 1;
        struct timespec t = { .tv_nsec = next > 0 ? (long)(next * 1e9) : 0 };
        if (t.tv_nsec > 999999999) t.tv_nsec = 999999999;
        ppoll(wait, (nfds_t)count, &t, NULL);
    }
}

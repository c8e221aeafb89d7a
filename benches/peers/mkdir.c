/* MKDIR through libnfs's asynchronous raw API: the yardstick for our own client.
 *
 *   mkdir SERVER PATH DEPTH PARENTS [nodelay]
 *
 * Makes PARENTS directories. Then, for each line COUNT on standard input, COUNT more, round robin under those, with DEPTH calls in flight; one RPC a
 * directory, no commit or lookup besides. Says of each line, on standard output, what our worker says too:
 *   {"count": calls, "seconds": wall clock, "cpu_seconds": user and system, "peak_mib": memory}
 * At the end of its input it removes all of it, unmeasured.
 * Build: cc -O2 -o mkdir mkdir.c -lnfs (Debian: libnfs-dev 4.0)
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <nfsc/libnfs.h>
#include <nfsc/libnfs-raw.h>
#include <nfsc/libnfs-raw-nfs.h>

/* libnfs-private.h of 4.0: what nfs_get_rootfh() points to. */
struct nfs_fh {
    int len;
    char *val;
};

/* libnfs 4.0 waits for ever for a portmapper that does not answer: what takes longer than LIMIT_S ends by a signal. */
enum { LIMIT_S = 60, STALL_MS = 10000, HANDLE_MAX = 64, NAME_MAX_ = 16 };

struct handle {
    bool known;
    unsigned length;
    char bytes[HANDLE_MAX];
};

static struct nfs_context *nfs;
static struct handle *parents;
static int parent_count, depth;
static char name[NAME_MAX_];
static int sent, answered;

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "mkdir: %s: %s\n", what, why);
    exit(1);
}

static double seconds(struct timeval time) { return time.tv_sec + time.tv_usec / 1e6; }

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static double cpu(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

static double peak_mib(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss / 1024.0;
}

/* As libnfs does itself from 6.0 on, and Linux's own client. 4.0 leaves Nagle's algorithm on: calls wait for the acknowledgement of those before
 * them, and what it costs to send them is counted against whoever brings that. */
static void send_at_once(void)
{
    int yes = 1;
    if (setsockopt(nfs_get_fd(nfs), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes))
        fail("TCP_NODELAY", "refused");
}

static void turn(void)
{
    struct pollfd fd = {.fd = nfs_get_fd(nfs), .events = nfs_which_events(nfs)};
    if (poll(&fd, 1, STALL_MS) <= 0)
        fail("poll", "the server does not answer");
    if (nfs_service(nfs, fd.revents) < 0)
        fail("service", nfs_get_error(nfs));
}

static void on_lookup(struct rpc_context *rpc, int status, void *data, void *private)
{
    struct handle *into = private;
    LOOKUP3res *result = data;
    if (status != RPC_STATUS_SUCCESS || result->status != NFS3_OK)
        fail("LOOKUP", "refused");
    nfs_fh3 *found = &result->LOOKUP3res_u.resok.object;
    if (found->data.data_len > HANDLE_MAX)
        fail("LOOKUP", "handle too long");
    into->length = found->data.data_len;
    memcpy(into->bytes, found->data.data_val, into->length);
    into->known = true;
    (void)rpc;
}

static void lookup(char *name, struct handle *into)
{
    const struct nfs_fh *nfs_get_rootfh(struct nfs_context *);
    const struct nfs_fh *root = nfs_get_rootfh(nfs);
    LOOKUP3args args = {.what = {.dir = {.data = {root->len, root->val}}, .name = name}};
    if (rpc_nfs3_lookup_async(nfs_get_rpc_context(nfs), on_lookup, &args, into))
        fail("LOOKUP", "not sent");
    while (!into->known)
        turn();
}

static void on_mkdir(struct rpc_context *rpc, int status, void *data, void *private)
{
    if (status != RPC_STATUS_SUCCESS)
        fail("MKDIR", "no answer");
    if (((MKDIR3res *)data)->status != NFS3_OK)
        fail("MKDIR", "refused");
    answered++;
    (void)rpc;
    (void)private;
}

static void on_rmdir(struct rpc_context *rpc, int status, void *data, void *private)
{
    if (status != RPC_STATUS_SUCCESS || ((RMDIR3res *)data)->status != NFS3_OK)
        fail("RMDIR", "refused");
    answered++;
    (void)rpc;
    (void)private;
}

static nfs_fh3 parent_of(int index)
{
    struct handle *parent = &parents[index % parent_count];
    return (nfs_fh3){.data = {parent->length, parent->bytes}};
}

/* Good until the next one: a call is put into words when it is made. */
static char *name_of(int index)
{
    snprintf(name, sizeof name, "d%06d", index);
    return name;
}

static int send_mkdir(struct rpc_context *rpc, int index)
{
    MKDIR3args args = {.where = {.dir = parent_of(index), .name = name_of(index)}};
    args.attributes.mode.set_it = 1;
    args.attributes.mode.set_mode3_u.mode = 0777;
    return rpc_nfs3_mkdir_async(rpc, on_mkdir, &args, NULL);
}

static int send_rmdir(struct rpc_context *rpc, int index)
{
    RMDIR3args args = {.object = {.dir = parent_of(index), .name = name_of(index)}};
    return rpc_nfs3_rmdir_async(rpc, on_rmdir, &args, NULL);
}

static void pass(int (*send)(struct rpc_context *, int), int first, int count, int in_flight)
{
    struct rpc_context *rpc = nfs_get_rpc_context(nfs);
    sent = answered = 0;
    while (answered < count) {
        while (sent < count && sent - answered < in_flight) {
            if (send(rpc, first + sent))
                fail("send", rpc_get_error(rpc));
            sent++;
        }
        turn();
    }
}

/* Makes COUNT more, and says what that took. */
static int slice(int made, int count)
{
    double since = now(), cpu_since = cpu();
    pass(send_mkdir, made, count, depth);
    double took = now() - since, cpu_took = cpu() - cpu_since;
    printf("{\"count\": %d, \"seconds\": %.6f, \"cpu_seconds\": %.6f, \"peak_mib\": %.1f}\n", count, took, cpu_took,
           peak_mib());
    fflush(stdout);
    return made + count;
}

int main(int argc, char **argv)
{
    bool nodelay = argc == 6 && strcmp(argv[5], "nodelay") == 0;
    if (argc != 5 && !nodelay)
        fail("usage", "mkdir SERVER PATH DEPTH PARENTS [nodelay]");
    depth = atoi(argv[3]);
    parent_count = atoi(argv[4]);
    if (depth < 1 || parent_count < 1)
        fail("usage", "DEPTH and PARENTS are from 1 on");
    alarm(LIMIT_S);
    nfs = nfs_init_context();
    if (!nfs || nfs_mount(nfs, argv[1], argv[2]))
        fail("mount", nfs ? nfs_get_error(nfs) : "no memory");
    if (nodelay)
        send_at_once();
    parents = calloc(parent_count, sizeof *parents);
    if (!parents)
        fail("start", "no memory");

    char path[64];
    for (int i = 0; i < parent_count; i++) {
        snprintf(path, sizeof path, "/libnfs-%d-%d", (int)getpid(), i);
        if (nfs_mkdir(nfs, path))
            fail(path, nfs_get_error(nfs));
        lookup(path + 1, &parents[i]);
    }

    int made = 0, count;
    while (scanf("%d", &count) == 1) {
        alarm(LIMIT_S);
        made = slice(made, count);
        alarm(0);
    }

    alarm(LIMIT_S);
    pass(send_rmdir, 0, made, 32);
    for (int i = 0; i < parent_count; i++) {
        snprintf(path, sizeof path, "/libnfs-%d-%d", (int)getpid(), i);
        if (nfs_rmdir(nfs, path))
            fail(path, nfs_get_error(nfs));
    }
    nfs_umount(nfs);
    nfs_destroy_context(nfs);
    return 0;
}

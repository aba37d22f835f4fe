/* room: super
 *
 * /proc/net/tcp and tcp6 know the inode of every listening socket, /proc/PID/fd who has it open.
 */
#include "holder.h"

#include <ctype.h>
#include <dirent.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ANY_V6 "00000000000000000000000000000000"
#define MAPPED "0000000000000000FFFF0000"
#define LISTENING 0x0a /* TCP_LISTEN, net/tcp_states.h */

struct wanted {
    bool v6;
    unsigned port;
    char text[33]; /* the address as /proc/net/tcp and tcp6 write it */
};

static struct wanted wanted_of(const struct sockaddr *address)
{
    struct wanted w = {.v6 = address->sa_family == AF_INET6};

    if (w.v6) {
        const struct sockaddr_in6 *in6 = (const void *)address;
        unsigned words[4];

        memcpy(words, &in6->sin6_addr, sizeof(words));
        snprintf(w.text, sizeof(w.text), "%08X%08X%08X%08X", words[0], words[1], words[2],
                 words[3]);
        w.port = ntohs(in6->sin6_port);
    } else {
        const struct sockaddr_in *in = (const void *)address;

        snprintf(w.text, sizeof(w.text), "%08X", in->sin_addr.s_addr);
        w.port = ntohs(in->sin_port);
    }
    return w;
}

/* Two listeners are in each other's way when their addresses are equal or one means all. An IPv6
 * socket may hold IPv4 addresses as well; ours never does. */
static bool is_in_the_way(const struct wanted *w, const char *other)
{
    bool other_v6 = strlen(other) == 32, any = strspn(w->text, "0") == strlen(w->text);

    if (other_v6 == w->v6)
        return any || strcmp(other, w->text) == 0 || strspn(other, "0") == strlen(other);
    if (!other_v6)
        return false;
    return strcmp(other, ANY_V6) == 0 || (strncmp(other, MAPPED, strlen(MAPPED)) == 0 &&
                                          (any || strcmp(other + strlen(MAPPED), w->text) == 0));
}

/* The inode of the socket in the way, 0 if there is none in this table. */
static unsigned long find_inode(const char *table, const struct wanted *w)
{
    FILE *file = fopen(table, "re");
    char line[512], address[33];
    unsigned long inode = 0, candidate;
    unsigned port, state;

    while (file && !inode && fgets(line, sizeof(line), file))
        if (sscanf(line, " %*d: %32[0-9A-F]:%x %*s %x %*s %*s %*s %*d %*d %lu", address, &port,
                   &state, &candidate) == 4 &&
            port == w->port && state == LISTENING && is_in_the_way(w, address))
            inode = candidate;
    if (file)
        fclose(file);
    return inode;
}

static bool has_open(const char *pid, unsigned long inode)
{
    char path[300], name[300], target[64], wanted[64];
    bool found = false;
    DIR *fds;

    snprintf(wanted, sizeof(wanted), "socket:[%lu]", inode);
    snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
    fds = opendir(path);
    for (struct dirent *entry; fds && !found && (entry = readdir(fds));) {
        ssize_t n;

        snprintf(name, sizeof(name), "%.40s/%.20s", path, entry->d_name);
        n = readlink(name, target, sizeof(target) - 1);
        target[n > 0 ? n : 0] = '\0';
        found = strcmp(target, wanted) == 0;
    }
    if (fds)
        closedir(fds);
    return found;
}

static int find_process(unsigned long inode)
{
    DIR *proc = opendir("/proc");
    int pid = 0;

    for (struct dirent *entry; proc && !pid && (entry = readdir(proc));)
        if (isdigit((unsigned char)entry->d_name[0]) && has_open(entry->d_name, inode))
            pid = atoi(entry->d_name);
    if (proc)
        closedir(proc);
    return pid;
}

void holder_of_pid(int pid, char *out, size_t size)
{
    char path[64], name[64] = "?";
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/comm", pid);
    file = fopen(path, "re");
    if (file) {
        if (!fgets(name, sizeof(name), file))
            strcpy(name, "?");
        name[strcspn(name, "\n")] = '\0';
        fclose(file);
    }
    if (pid == getpid())
        snprintf(out, size, "this zq itself: it is asked for twice");
    else
        snprintf(out, size, "pid %d (%s)", pid, name);
}

void holder_of_port(const struct sockaddr *address, char *out, size_t size)
{
    struct wanted w = wanted_of(address);
    unsigned long inode = w.v6 ? 0 : find_inode("/proc/net/tcp", &w);
    int pid;

    if (!inode)
        inode = find_inode("/proc/net/tcp6", &w);
    pid = inode ? find_process(inode) : 0;
    if (pid)
        holder_of_pid(pid, out, size);
    else
        snprintf(out, size, "another process");
}

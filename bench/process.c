// SPDX-License-Identifier: MIT
//
// CPU from /proc/PID/task/*/schedstat (first field: nanoseconds on a CPU, where
// utime and stime of /proc/PID/stat step by 10 ms), memory from /proc/PID/smaps_rollup. A thread
// that ends inside the measured window takes its share along; no server measured here does that.
#include "process.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int thread_cpu(pid_t pid, const char *thread, uint64_t *ret_ns)
{
    char path[64 + sizeof(((struct dirent *)NULL)->d_name)];
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", (int)pid, thread);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return errno == ENOENT || errno == ESRCH ? 0 : -1; // the thread ended between two looks
    }
    char line[128];
    char *end = line;
    uint64_t ns = 0;
    if (fgets(line, sizeof(line), file) != NULL) {
        ns = strtoull(line, &end, 10);
    }
    (void)fclose(file);
    if (end == line) {
        return -1;
    }
    *ret_ns += ns;
    return 0;
}

static int process_cpu(pid_t pid, uint64_t *ret_ns)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return -1;
    }
    int status = 0;
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (entry->d_name[0] != '.' && thread_cpu(pid, entry->d_name, ret_ns) != 0) {
            status = -1;
        }
    }
    (void)closedir(dir);
    return status;
}

int bench_process_cpu(const pid_t *pids, size_t count, uint64_t *ret_ns)
{
    uint64_t ns = 0;
    for (size_t i = 0; i < count; i++) {
        if (process_cpu(pids[i], &ns) != 0) {
            return -1;
        }
    }
    *ret_ns = ns;
    return 0;
}

static void add_field(const char *line, const char *name, uint64_t *sum)
{
    size_t size = strlen(name);
    if (strncmp(line, name, size) == 0) {
        *sum += strtoull(line + size, NULL, 10) * 1024; // the file says kB
    }
}

int bench_process_memory(const pid_t *pids, size_t count, struct bench_memory *ret_memory)
{
    struct bench_memory memory = {0};
    for (size_t i = 0; i < count; i++) {
        char line[256];
        (void)snprintf(line, sizeof(line), "/proc/%d/smaps_rollup", (int)pids[i]);
        FILE *file = fopen(line, "re");
        if (file == NULL) {
            return -1;
        }
        while (fgets(line, sizeof(line), file) != NULL) {
            add_field(line, "Rss:", &memory.rss);
            add_field(line, "Pss:", &memory.pss);
            add_field(line, "Private_Dirty:", &memory.private_dirty);
        }
        (void)fclose(file);
    }
    *ret_memory = memory;
    return 0;
}

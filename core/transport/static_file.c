// SPDX-License-Identifier: MIT
//
// Opening below a directory; see static_file.h. The kernel holds the border where it can (openat2
// with RESOLVE_BENEATH: links are followed as long as they stay inside); where it cannot, a walk
// that opens segment by segment follows no link at all.
#include "transport/static_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "hark.h"

#define OPEN_FLAGS (O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK) // a FIFO must not hold the worker
#define RETRIES    8 // openat2 gives EAGAIN when a rename runs at the same time

struct body {
    int fd;
    uint64_t offset;
};

static bool is_public(struct hark_slice path);
static int open_beneath(int root, const char *path);
static int open_walk(int root, char *path);
static int examine(int fd, struct hark_static_file *ret);
static int body_next(void *ctx, size_t max, struct hark_chunk **ret);
static void body_done(void *ctx);

const struct hark_body_source hark_static_file_source = {.next = body_next, .done = body_done};

int hark_static_file_open(const char *directory,
                          struct hark_slice path,
                          struct hark_static_file *ret)
{
    char name[PATH_MAX];
    if (path.len < 2 || path.len > sizeof(name) || !is_public(path)) {
        return HARK_ENOENT;
    }
    memcpy(name, path.ptr + 1, path.len - 1);
    name[path.len - 1] = '\0';
    // Each time anew: a deployment may have put another directory in its place.
    int root = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) {
        return errno == ENOENT || errno == ENOTDIR ? HARK_ENOENT : HARK_EIO;
    }
    int fd = open_beneath(root, name);
    if (fd < 0 && errno == ENOSYS) {
        fd = open_walk(root, name);
    }
    int error = errno;
    (void)close(root); // nothing was written
    if (fd < 0) {
        bool is_full = error == EMFILE || error == ENFILE || error == ENOMEM;
        return is_full ? HARK_EIO : HARK_ENOENT;
    }
    return examine(fd, ret);
}

void hark_static_file_close(struct hark_static_file *file)
{
    if (file->fd >= 0) {
        (void)close(file->fd); // nothing was written
        file->fd = -1;
    }
}

void *hark_static_file_body(struct hark_static_file *file, uint64_t offset)
{
    struct body *body = hark_mem_alloc(sizeof(*body));
    if (body != NULL) {
        *body = (struct body){.fd = file->fd, .offset = offset};
        file->fd = -1;
    }
    return body;
}

// Segments that are neither empty nor hidden, so "." and ".." are none either; and none with a
// slash inside, which no file's name has.
static bool is_public(struct hark_slice path)
{
    if (path.ptr[0] != '/' || memchr(path.ptr, '\0', path.len) != NULL ||
        memmem(path.ptr, path.len, "%2F", 3) != NULL) {
        return false;
    }
    struct hark_slice rest = hark_slice_from(path, 1);
    while (rest.ptr != NULL) {
        struct hark_slice segment = hark_slice_next(&rest, '/');
        if (segment.len == 0 || segment.ptr[0] == '.') {
            return false;
        }
    }
    return true;
}

static int open_beneath(int root, const char *path)
{
    const struct open_how how = {
        .flags = OPEN_FLAGS,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    long fd = -1;
    for (int i = 0; i < RETRIES && fd < 0; i++) {
        fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
        if (fd < 0 && errno != EAGAIN) {
            break;
        }
    }
    return (int)fd;
}

// For kernels before 5.6 and sandboxes that know no openat2.
static int open_walk(int root, char *path)
{
    int at = root;
    for (char *segment = path; segment != NULL;) {
        char *slash = strchr(segment, '/');
        int flags = slash == NULL ? OPEN_FLAGS : O_PATH | O_DIRECTORY | O_CLOEXEC;
        if (slash != NULL) {
            *slash = '\0';
        }
        int next = openat(at, segment, flags | O_NOFOLLOW);
        int error = errno;
        if (at != root) {
            (void)close(at); // nothing was written
        }
        errno = error;
        at = next;
        segment = at < 0 || slash == NULL ? NULL : slash + 1;
    }
    return at;
}

static int examine(int fd, struct hark_static_file *ret)
{
    struct stat stat;
    bool known = fstat(fd, &stat) == 0;
    if (!known || (!S_ISREG(stat.st_mode) && !S_ISDIR(stat.st_mode))) {
        (void)close(fd); // nothing was written
        return HARK_ENOENT;
    }
    *ret = (struct hark_static_file){
        .fd = fd,
        .is_directory = S_ISDIR(stat.st_mode),
        .inode = stat.st_ino,
        .size = (uint64_t)stat.st_size,
        .modified = stat.st_mtim.tv_sec,
        .modified_ns = (uint32_t)stat.st_mtim.tv_nsec,
    };
    return 0;
}

// Reads on the loop's thread: what is served often is in the page cache, and a piece is small.
static int body_next(void *ctx, size_t max, struct hark_chunk **ret)
{
    struct body *body = ctx;
    struct hark_bytes *bytes = hark_bytes_new(max);
    if (bytes == NULL) {
        return HARK_ENOMEM;
    }
    ssize_t got = -1;
    do {
        got = pread(body->fd, bytes->data, max, (off_t)body->offset);
    } while (got < 0 && errno == EINTR);
    if (got <= 0) { // an end before the length that was promised: the file has been cut
        hark_bytes_unref(bytes);
        return HARK_EIO;
    }
    bytes->len = (uint32_t)got;
    body->offset += (uint64_t)got;
    *ret = hark_chunk_new(bytes); // owns bytes in any case
    return *ret == NULL ? HARK_ENOMEM : 0;
}

static void body_done(void *ctx)
{
    struct body *body = ctx;
    (void)close(body->fd); // nothing was written
    hark_mem_free(body);
}

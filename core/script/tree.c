// SPDX-License-Identifier: MIT
//
// Reads a script directory: walk, read, walk again without reading, compare. What editors and
// deployers leave lying about is not seen: names that begin with '.' or '#', or end in '~', .swp,
// .tmp, .bak.
#include "script/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/slice.h"
#include "hark.h"

#define PATH_TEXT_MAX 1024
#define TRIES         40
#define TRY_PAUSE_MS  50
#define LOCK_WAIT_MS  10000
#define LOCK_PAUSE_MS 100

// One walk. `read`: contents too; else only what identifies a file.
struct walk {
    struct hark_tree *tree;
    struct hark_buf *why;
    bool read;
};

static int wait_for_git(const char *root);
static int walk_tree(const char *root, bool read, struct hark_tree *tree, struct hark_buf *why);
static int walk_directory(struct walk *walk, int fd, const char *prefix, unsigned depth);
static int
walk_entry(struct walk *walk, int fd, const char *prefix, const char *name, unsigned depth);
static bool is_wanted(const char *name);
static bool is_skipped_folder(const char *path);
static int add_file(struct walk *walk, int fd, const char *name, const char *path);
static int
read_file(struct walk *walk, int file, const struct stat *before, struct hark_tree_file *entry);
static int grow(struct hark_tree *tree);
static int compare(const void *a, const void *b);
static bool is_same(const struct hark_tree *a, const struct hark_tree *b);
static int explain(struct hark_buf *why, int status, const char *path, const char *text);
static void pause_ms(long ms);

int hark_tree_read(const char *directory, struct hark_tree *ret, struct hark_buf *ret_why)
{
    for (int tried = 0; tried < TRIES; tried++) {
        // Links are resolved once per picture: a swap of ..data is seen whole or not at all.
        char *root = realpath(directory, NULL); // NOLINT: freed below with the heap it came from
        if (root == NULL) {
            return explain(ret_why, HARK_ENOENT, directory, strerrordesc_np(errno));
        }
        struct hark_tree tree = {0};
        struct hark_tree again = {0};
        int status = wait_for_git(root);
        if (status == 0) {
            status = walk_tree(root, true, &tree, ret_why);
        }
        if (status == 0) {
            status = walk_tree(root, false, &again, ret_why);
        }
        bool steady = status == 0 && is_same(&tree, &again);
        hark_tree_deinit(&again);
        hark_mem_free(root);
        if (steady) {
            *ret = tree;
            return 0;
        }
        hark_tree_deinit(&tree);
        if (status != 0 && status != HARK_EAGAIN) {
            return status;
        }
        pause_ms(TRY_PAUSE_MS);
    }
    return explain(ret_why, HARK_EIO, directory, "files keep changing while they are read");
}

// A checkout in progress holds this lock; what it writes is not a picture yet.
static int wait_for_git(const char *root)
{
    char lock[PATH_TEXT_MAX * 4];
    if (snprintf(lock, sizeof(lock), "%s/.git/index.lock", root) >= (int)sizeof(lock)) {
        return HARK_ETOOBIG;
    }
    for (long waited = 0; waited < LOCK_WAIT_MS && access(lock, F_OK) == 0;
         waited += LOCK_PAUSE_MS) {
        pause_ms(LOCK_PAUSE_MS);
    }
    return 0;
}

static int walk_tree(const char *root, bool read, struct hark_tree *tree, struct hark_buf *why)
{
    int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return explain(why, HARK_ENOENT, root, strerrordesc_np(errno));
    }
    struct walk walk = {tree, why, read};
    int status = walk_directory(&walk, fd, "", 0);
    if (status == 0 && tree->count > 0) {
        qsort(tree->files, tree->count, sizeof(*tree->files), compare);
    }
    return status;
}

// Takes the descriptor. The depth is bounded, so the recursion is.
static int walk_directory(struct walk *walk,
                          int fd,
                          const char *prefix,
                          unsigned depth) // NOLINT(misc-no-recursion)
{
    DIR *directory = fdopendir(fd);
    if (directory == NULL) {
        (void)close(fd);
        return HARK_ENOMEM;
    }
    int status = 0;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(directory);
        if (entry == NULL) {
            status = errno == 0 ? 0 : HARK_EAGAIN;
            break;
        }
        if (is_wanted(entry->d_name)) {
            status = walk_entry(walk, fd, prefix, entry->d_name, depth);
            if (status != 0) {
                break;
            }
        }
    }
    (void)closedir(directory);
    return status;
}

static int walk_entry(struct walk *walk,
                      int fd,
                      const char *prefix,
                      const char *name,
                      unsigned depth) // NOLINT(misc-no-recursion)
{
    char path[PATH_TEXT_MAX];
    if (snprintf(path, sizeof(path), "%s%s", prefix, name) >= (int)sizeof(path) - 1) {
        return explain(walk->why, HARK_ETOOBIG, prefix, "path is too long");
    }
    struct stat about;
    if (fstatat(fd, name, &about, 0) != 0) {
        return errno == ENOENT ? 0 : explain(walk->why, HARK_EIO, path, strerrordesc_np(errno));
    }
    if (S_ISREG(about.st_mode)) {
        size_t len = strlen(name);
        return len > 4 && strcmp(name + len - 4, ".lua") == 0 ? add_file(walk, fd, name, path) : 0;
    }
    if (!S_ISDIR(about.st_mode) || is_skipped_folder(path)) {
        return 0;
    }
    if (depth + 1 > HARK_TREE_DEPTH_MAX) {
        return explain(walk->why, HARK_ETOOBIG, path, "folders are nested too deeply");
    }
    int child = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (child < 0) {
        return errno == ENOENT ? HARK_EAGAIN
                               : explain(walk->why, HARK_EIO, path, strerrordesc_np(errno));
    }
    (void)strncat(path, "/", sizeof(path) - strlen(path) - 1);
    return walk_directory(walk, child, path, depth + 1);
}

static bool is_wanted(const char *name)
{
    static const char *const SUFFIXES[] = {"~", ".swp", ".tmp", ".bak"};
    if (name[0] == '.' || name[0] == '#') {
        return false;
    }
    size_t len = strlen(name);
    for (size_t i = 0; i < HARK_ARRAY_LEN(SUFFIXES); i++) {
        size_t suffix = strlen(SUFFIXES[i]);
        if (len >= suffix && strcmp(name + len - suffix, SUFFIXES[i]) == 0) {
            return false;
        }
    }
    return true;
}

static bool is_skipped_folder(const char *path)
{
    return strcmp(path, "public") == 0 || strcmp(path, "spec") == 0;
}

static int add_file(struct walk *walk, int fd, const char *name, const char *path)
{
    int file = openat(fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) {
        return errno == ENOENT ? HARK_EAGAIN
                               : explain(walk->why, HARK_EIO, path, strerrordesc_np(errno));
    }
    struct stat about;
    int status = fstat(file, &about) == 0 ? grow(walk->tree) : HARK_EIO;
    if (status == 0 && (size_t)about.st_size > HARK_TREE_FILE_MAX) {
        status = explain(walk->why, HARK_ETOOBIG, path, "file is larger than 1 MiB");
    }
    if (status == 0) {
        struct hark_tree_file *entry = &walk->tree->files[walk->tree->count];
        *entry = (struct hark_tree_file){
            .path = hark_mem_dup(path, strlen(path)),
            .len = (size_t)about.st_size,
            .device = about.st_dev,
            .inode = about.st_ino,
            .mtime_ns = about.st_mtim.tv_sec * INT64_C(1000000000) + about.st_mtim.tv_nsec,
        };
        status = entry->path == NULL ? HARK_ENOMEM
                 : walk->read        ? read_file(walk, file, &about, entry)
                                     : 0;
        if (status == 0) {
            walk->tree->count++;
            walk->tree->total += entry->len;
        } else {
            hark_mem_free(entry->path);
        }
    }
    (void)close(file);
    if (status == 0 && walk->tree->total > HARK_TREE_TOTAL_MAX) {
        status = explain(walk->why, HARK_ETOOBIG, path, "scripts are larger than 16 MiB together");
    }
    return status;
}

static int
read_file(struct walk *walk, int file, const struct stat *before, struct hark_tree_file *entry)
{
    entry->data = hark_mem_alloc(entry->len + 1);
    if (entry->data == NULL) {
        return HARK_ENOMEM;
    }
    size_t done = 0;
    int status = 0;
    while (status == 0 && done <= entry->len) {
        ssize_t got = read(file, entry->data + done, entry->len + 1 - done);
        if (got < 0 && errno != EINTR) {
            status = explain(walk->why, HARK_EIO, entry->path, strerrordesc_np(errno));
        } else if (got == 0) {
            break;
        } else if (got > 0) {
            done += (size_t)got;
        }
    }
    struct stat after;
    if (status == 0 &&
        (done != entry->len || fstat(file, &after) != 0 || after.st_size != before->st_size ||
         after.st_mtim.tv_nsec != before->st_mtim.tv_nsec ||
         after.st_mtim.tv_sec != before->st_mtim.tv_sec)) {
        status = HARK_EAGAIN;
    }
    if (status != 0) {
        hark_mem_free(entry->data);
        entry->data = NULL;
    }
    return status;
}

static int grow(struct hark_tree *tree)
{
    if (tree->count < tree->capacity) {
        return 0;
    }
    size_t capacity = tree->capacity == 0 ? 32 : tree->capacity * 2;
    if (capacity > HARK_TREE_FILES_MAX) {
        return HARK_ETOOBIG;
    }
    struct hark_tree_file *files = hark_mem_realloc(tree->files, capacity * sizeof(*files));
    if (files == NULL) {
        return HARK_ENOMEM;
    }
    tree->files = files;
    tree->capacity = capacity;
    return 0;
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct hark_tree_file *)a)->path,
                  ((const struct hark_tree_file *)b)->path);
}

static bool is_same(const struct hark_tree *a, const struct hark_tree *b)
{
    if (a->count != b->count) {
        return false;
    }
    for (size_t i = 0; i < a->count; i++) {
        const struct hark_tree_file *x = &a->files[i];
        const struct hark_tree_file *y = &b->files[i];
        if (strcmp(x->path, y->path) != 0 || x->len != y->len || x->inode != y->inode ||
            x->device != y->device || x->mtime_ns != y->mtime_ns) {
            return false;
        }
    }
    return true;
}

static int explain(struct hark_buf *why, int status, const char *path, const char *text)
{
    if (why != NULL && hark_buf_len(why) == 0 && hark_buf_printf(why, "%s: %s", path, text) != 0) {
        hark_buf_clear(why); // no room: the status alone speaks
    }
    return status;
}

static void pause_ms(long ms)
{
    const struct timespec pause = {ms / 1000, ms % 1000 * 1000000L};
    (void)nanosleep(&pause, NULL);
}

void hark_tree_deinit(struct hark_tree *tree)
{
    for (size_t i = 0; i < tree->count; i++) {
        hark_mem_free(tree->files[i].path);
        hark_mem_free(tree->files[i].data);
    }
    hark_mem_free(tree->files);
    *tree = (struct hark_tree){0};
}

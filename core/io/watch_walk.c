// SPDX-License-Identifier: MIT
//
// The walk behind a directory watch. Paths are resolved by hand, component by component, because
// realpath(3) does not say which links it went through, and each of them may be pointed elsewhere.
// Directories wait in a bounded list, so depth costs no stack; a directory that was named before
// is not entered again, which ends circles of links.
#include "io/watch_walk.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "hark.h"

#define LINKS_MAX 40 // as the kernel has it

struct walk {
    hark_watch_want_fn *want;
    void *ctx;
    char *waiting[HARK_WATCH_DIRECTORIES_MAX]; // real paths of directories to list
    size_t count;
    size_t done;
    char path[PATH_MAX];   // an entry on its way to resolve()
    char real[PATH_MAX];   // resolve(): resolved so far; its result
    char rest[PATH_MAX];   // still to be resolved
    char target[PATH_MAX]; // of a link
};

static void resolve(struct walk *walk, const char *path, mode_t *ret_mode);
static size_t take_component(char *rest, char name[NAME_MAX + 1]);
static bool append(char *path, const char *name);
static void cut(char *path);
static bool follow(struct walk *walk);
static const char *directory_of(const char *real);
static void want_in_parent(struct walk *walk, const char *real);
static int add_directory(struct walk *walk, const char *real);
static int list(struct walk *walk, const char *directory);
static int add_entry(struct walk *walk, const char *directory, const struct dirent *entry);
static mode_t type_of(const struct walk *walk, const struct dirent *entry);

int hark_watch_walk(const char *root, hark_watch_want_fn *want, void *ctx)
{
    struct walk *walk = hark_mem_zalloc(sizeof(*walk));
    if (walk == NULL) {
        return HARK_ENOMEM;
    }
    walk->want = want;
    walk->ctx = ctx;
    int status = 0;
    mode_t mode = 0;
    resolve(walk, root, &mode);
    if (mode != 0) {
        want_in_parent(walk, walk->real);
    }
    if (S_ISDIR(mode)) {
        status = add_directory(walk, walk->real);
    }
    while (status == 0 && walk->done < walk->count) {
        status = list(walk, walk->waiting[walk->done]);
        walk->done++;
    }
    for (size_t i = 0; i < walk->count; i++) {
        hark_mem_free(walk->waiting[i]);
    }
    hark_mem_free(walk);
    return status;
}

// Resolves an absolute path into walk->real, naming each link's place. *ret_mode is the type of
// what it leads to; 0: to nothing, then the place where the missing part would appear has been
// named.
static void resolve(struct walk *walk, const char *path, mode_t *ret_mode)
{
    struct stat file = {.st_mode = S_IFDIR};
    char name[NAME_MAX + 1];
    int links = 0;
    *ret_mode = 0;
    walk->real[0] = '\0';
    (void)memmove(walk->rest, path, strlen(path) + 1); // both are PATH_MAX
    while (take_component(walk->rest, name) > 0) {
        if (strcmp(name, ".") == 0) {
            continue;
        }
        if (strcmp(name, "..") == 0) {
            cut(walk->real);
            continue;
        }
        if (!append(walk->real, name)) {
            return;
        }
        bool is_missing = lstat(walk->real, &file) != 0;
        if (is_missing || S_ISLNK(file.st_mode)) {
            want_in_parent(walk, walk->real);
        }
        if (is_missing) {
            return;
        }
        if (S_ISLNK(file.st_mode) && (++links > LINKS_MAX || !follow(walk))) {
            return;
        }
    }
    *ret_mode = file.st_mode;
}

// Moves the first component of rest to name; its length, 0 at the end or when it is too long.
static size_t take_component(char *rest, char name[NAME_MAX + 1])
{
    const char *from = rest + strspn(rest, "/");
    size_t len = strcspn(from, "/");
    if (len > NAME_MAX) {
        return 0;
    }
    memcpy(name, from, len);
    name[len] = '\0';
    memmove(rest, from + len, strlen(from + len) + 1);
    return len;
}

static bool append(char *path, const char *name)
{
    size_t at = strlen(path);
    size_t len = strlen(name);
    if (at + 1 + len >= PATH_MAX) {
        return false;
    }
    path[at] = '/';
    memcpy(path + at + 1, name, len + 1);
    return true;
}

static void cut(char *path)
{
    char *slash = strrchr(path, '/');
    if (slash != NULL) {
        *slash = '\0';
    }
}

// walk->real is a link: what it says goes before the rest.
static bool follow(struct walk *walk)
{
    ssize_t len = readlink(walk->real, walk->target, sizeof(walk->target) - 1);
    size_t rest = strlen(walk->rest);
    if (len <= 0 || (size_t)len + 1 + rest >= PATH_MAX) {
        return false;
    }
    memmove(walk->rest + len + 1, walk->rest, rest + 1);
    memcpy(walk->rest, walk->target, (size_t)len);
    walk->rest[len] = '/';
    cut(walk->real);
    if (walk->target[0] == '/') {
        walk->real[0] = '\0';
    }
    return true;
}

// "" is the root directory while a path is put together.
static const char *directory_of(const char *real)
{
    return real[0] == '\0' ? "/" : real;
}

static void want_in_parent(struct walk *walk, const char *real)
{
    const char *slash = strrchr(real, '/');
    if (slash == NULL) {
        return; // the root directory has no parent
    }
    size_t len = (size_t)(slash - real);
    memcpy(walk->target, real, len);
    walk->target[len] = '\0';
    (void)walk->want(walk->ctx, directory_of(walk->target), slash + 1); // twice is fine
}

static int add_directory(struct walk *walk, const char *real)
{
    const char *directory = directory_of(real);
    if (walk->count == HARK_WATCH_DIRECTORIES_MAX) {
        return HARK_EFULL;
    }
    if (!walk->want(walk->ctx, directory, "")) {
        return 0;
    }
    char *copy = hark_mem_dup(directory, strlen(directory));
    if (copy == NULL) {
        return HARK_ENOMEM;
    }
    walk->waiting[walk->count++] = copy;
    return 0;
}

static int list(struct walk *walk, const char *directory)
{
    DIR *dir = opendir(directory);
    if (dir == NULL) {
        return 0; // gone, or not ours to read: its parent's watch will tell
    }
    int status = 0;
    const struct dirent *entry = NULL;
    while (status == 0 && (entry = readdir(dir)) != NULL) {
        status = add_entry(walk, directory, entry);
    }
    (void)closedir(dir); // only read
    return status;
}

static int add_entry(struct walk *walk, const char *directory, const struct dirent *entry)
{
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
        return 0;
    }
    size_t len = strcmp(directory, "/") == 0 ? 0 : strlen(directory);
    memcpy(walk->path, directory, len);
    walk->path[len] = '\0';
    if (!append(walk->path, entry->d_name)) {
        return 0;
    }
    mode_t mode = type_of(walk, entry);
    if (S_ISDIR(mode)) {
        return add_directory(walk, walk->path);
    }
    if (!S_ISLNK(mode)) {
        return 0;
    }
    resolve(walk, walk->path, &mode);
    if (S_ISDIR(mode)) {
        return add_directory(walk, walk->real);
    }
    if (mode != 0) {
        want_in_parent(walk, walk->real);
    }
    return 0;
}

static mode_t type_of(const struct walk *walk, const struct dirent *entry)
{
    struct stat file = {0};
    switch (entry->d_type) {
    case DT_DIR: return S_IFDIR;
    case DT_LNK: return S_IFLNK;
    case DT_UNKNOWN: return lstat(walk->path, &file) == 0 ? file.st_mode : 0;
    default: return S_IFREG;
    }
}

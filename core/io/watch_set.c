// SPDX-License-Identifier: MIT
//
// inotify watches (by uv_fs_event_t) of a set of directories. An entry that is still wanted and
// whose directory is still the same inode stays armed over an update; a directory that was removed
// and made again has another inode and a watch that would never speak again, so it is armed anew.
#include "io/watch_set.h"

#include <string.h>
#include <sys/stat.h>

#include <uv.h>

#include "base/hash.h"
#include "base/mem.h"
#include "hark.h"
#include "io/loop_inner.h"
#include "io/watch_walk.h"

struct entry {
    uv_fs_event_t handle;
    UT_hash_handle hh;
    struct hark_watch_set *set;
    dev_t dev;
    ino_t ino;
    uint64_t generation; // of the last update that wanted it
    bool is_doubtful;    // an event of the directory itself: it may be gone
    size_t key_len;
    char key[]; // directory, NUL, name, NUL
};

struct hark_watch_set {
    struct entry *entries; // by key
    struct hark_loop *loop;
    hark_watch_set_fn *fn;
    void *ctx;
    uint64_t generation;
    size_t handles; // that libuv knows, those being closed too
    bool is_closing;
};

static bool want(void *ctx, const char *directory, const char *name);
static struct entry *find(struct hark_watch_set *set, const char *key, size_t key_len);
static char *make_key(const char *directory, const char *name, size_t *ret_len);
static bool is_same(const struct entry *entry);
static bool arm(struct hark_watch_set *set, const char *key, size_t key_len);
static void on_event(uv_fs_event_t *handle, const char *name, int events, int status);
static bool is_own_name(const struct entry *entry, const char *name);
static void close_entry(struct entry *entry);
static void on_closed(uv_handle_t *handle);

struct hark_watch_set *hark_watch_set_new(struct hark_loop *loop, hark_watch_set_fn *fn, void *ctx)
{
    struct hark_watch_set *set = hark_mem_zalloc(sizeof(*set));
    if (set == NULL) {
        return NULL;
    }
    set->loop = loop;
    set->fn = fn;
    set->ctx = ctx;
    return set;
}

void hark_watch_set_close(struct hark_watch_set *set)
{
    if (set == NULL) {
        return;
    }
    set->is_closing = true;
    struct entry *entry = NULL;
    struct entry *after = NULL;
    HASH_ITER(hh, set->entries, entry, after)
    {
        close_entry(entry);
    }
    if (set->handles == 0) {
        hark_mem_free(set);
    }
}

void hark_watch_set_update(struct hark_watch_set *set, const char *root)
{
    set->generation++;
    int status = hark_watch_walk(root, want, set);
    if (status == HARK_ENOMEM) {
        return; // half a walk says nothing about what is unwanted
    }
    struct entry *entry = NULL;
    struct entry *after = NULL;
    HASH_ITER(hh, set->entries, entry, after)
    {
        if (entry->generation != set->generation) {
            close_entry(entry);
        }
    }
}

static bool want(void *ctx, const char *directory, const char *name)
{
    struct hark_watch_set *set = ctx;
    size_t key_len = 0;
    char *key = make_key(directory, name, &key_len);
    if (key == NULL) {
        return false;
    }
    struct entry *entry = find(set, key, key_len);
    bool is_new = entry == NULL || entry->generation != set->generation;
    if (entry != NULL && is_new && !is_same(entry)) {
        close_entry(entry);
        entry = NULL;
    }
    if (entry != NULL) {
        entry->generation = set->generation;
    } else if (!arm(set, key, key_len)) {
        is_new = false;
    }
    hark_mem_free(key);
    return is_new;
}

static struct entry *find(struct hark_watch_set *set, const char *key, size_t key_len)
{
    struct entry *entry = NULL;
    HASH_FIND(hh, set->entries, key, key_len, entry);
    return entry;
}

static char *make_key(const char *directory, const char *name, size_t *ret_len)
{
    size_t directory_len = strlen(directory) + 1;
    size_t name_len = strlen(name) + 1;
    char *key = hark_mem_alloc(directory_len + name_len);
    if (key != NULL) {
        memcpy(key, directory, directory_len);
        memcpy(key + directory_len, name, name_len);
        *ret_len = directory_len + name_len;
    }
    return key;
}

static bool is_same(const struct entry *entry)
{
    struct stat file = {0};
    return !entry->is_doubtful && stat(entry->key, &file) == 0 && file.st_dev == entry->dev &&
           file.st_ino == entry->ino;
}

// Arms first and looks at the inode then: should the directory be swapped between the two, the next
// update sees a difference, not a false agreement.
static bool arm(struct hark_watch_set *set, const char *key, size_t key_len)
{
    struct entry *entry = hark_mem_zalloc(sizeof(*entry) + key_len);
    if (entry == NULL) {
        return false;
    }
    struct stat file = {0};
    bool has_file = stat(key, &file) == 0;
    memcpy(entry->key, key, key_len);
    entry->key_len = key_len;
    entry->set = set;
    entry->generation = set->generation;
    entry->dev = file.st_dev;
    entry->ino = file.st_ino;
    (void)uv_fs_event_init(hark_loop_uv(set->loop), &entry->handle); // cannot fail
    set->handles++;
    HASH_ADD_KEYPTR(hh, set->entries, entry->key, key_len, entry);
    bool is_added = find(set, key, key_len) == entry;
    if (is_added && has_file && uv_fs_event_start(&entry->handle, on_event, entry->key, 0) == 0) {
        return true;
    }
    if (is_added) {
        close_entry(entry);
    } else {
        uv_close((uv_handle_t *)&entry->handle, on_closed);
    }
    return false;
}

static void on_event(uv_fs_event_t *handle, const char *name, int events, int status)
{
    (void)events; // what it was the look will find
    struct entry *entry = HARK_CONTAINER_OF(handle, struct entry, handle);
    const char *wanted = entry->key + strlen(entry->key) + 1;
    if (status != 0 || name == NULL || is_own_name(entry, name)) {
        entry->is_doubtful = true;
    }
    if (entry->is_doubtful || wanted[0] == '\0' || strcmp(name, wanted) == 0) {
        entry->set->fn(entry->set->ctx);
    }
}

// libuv tells an event of the directory itself under the last part of its path.
static bool is_own_name(const struct entry *entry, const char *name)
{
    const char *slash = strrchr(entry->key, '/');
    return slash != NULL && strcmp(name, slash + 1) == 0;
}

static void close_entry(struct entry *entry)
{
    HASH_DELETE(hh, entry->set->entries, entry);
    uv_close((uv_handle_t *)&entry->handle, on_closed);
}

static void on_closed(uv_handle_t *handle)
{
    struct entry *entry = HARK_CONTAINER_OF(handle, struct entry, handle);
    struct hark_watch_set *set = entry->set;
    hark_mem_free(entry);
    set->handles--;
    if (set->is_closing && set->handles == 0) {
        hark_mem_free(set);
    }
}

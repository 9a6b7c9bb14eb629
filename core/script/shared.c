// SPDX-License-Identifier: MIT
//
// Sixty-four stripes, each a lock and a hash table keyed by dictionary, NUL, key. What has expired
// is gone when it is looked at; besides, each write looks at a few more of its stripe.
#include "script/shared.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "base/hash.h"
#include "base/mem.h"
#include "hark.h"

#define STRIPES    64
#define SWEEP      4   // entries that a write looks at besides its own
#define SWEEP_FULL 256 // when memory has run out
#define FULL_KEY   (HARK_SHARED_NAME_MAX + 1 + HARK_SHARED_KEY_MAX)

struct entry {
    UT_hash_handle hh;
    uint64_t version;
    uint64_t expires_ms; // 0: it stays
    char *value;
    uint32_t value_len;
    uint32_t key_len;
    char key[];
};

struct stripe {
    pthread_mutex_t lock;
    struct entry *entries;
    struct entry *hand; // where the sweep goes on
};

struct hark_shared {
    _Atomic uint32_t refs;
    size_t bytes_max;
    _Atomic size_t bytes;
    _Atomic uint64_t next_version;
    struct stripe stripes[STRIPES];
};

struct full_key {
    size_t len;
    char text[FULL_KEY];
};

static int lock_stripe(struct hark_shared *shared,
                       const struct hark_shared_key *key,
                       struct full_key *ret_full,
                       struct stripe **ret_stripe);
static struct entry *
find(struct hark_shared *shared, struct stripe *stripe, const struct full_key *full);
static int store(struct hark_shared *shared,
                 struct stripe *stripe,
                 const struct full_key *full,
                 struct hark_slice value,
                 struct entry **entry);
static void drop(struct hark_shared *shared, struct stripe *stripe, struct entry *entry);
static void
sweep(struct hark_shared *shared, struct stripe *stripe, int count, const struct entry *keep);

static uint64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t due(uint64_t ttl_ms)
{
    return ttl_ms == 0 ? 0 : now_ms() + ttl_ms;
}

int hark_shared_new(size_t bytes_max, struct hark_shared **ret)
{
    struct hark_shared *shared = hark_mem_zalloc(sizeof(*shared));
    if (shared == NULL) {
        return HARK_ENOMEM;
    }
    atomic_init(&shared->refs, 1);
    shared->bytes_max = bytes_max;
    atomic_init(&shared->next_version, 1);
    for (size_t i = 0; i < STRIPES; i++) {
        pthread_mutex_init(&shared->stripes[i].lock, NULL);
    }
    *ret = shared;
    return 0;
}

struct hark_shared *hark_shared_ref(struct hark_shared *shared)
{
    atomic_fetch_add_explicit(&shared->refs, 1, memory_order_relaxed);
    return shared;
}

void hark_shared_unref(struct hark_shared *shared)
{
    if (shared == NULL || atomic_fetch_sub_explicit(&shared->refs, 1, memory_order_acq_rel) > 1) {
        return;
    }
    for (size_t i = 0; i < STRIPES; i++) {
        struct stripe *stripe = &shared->stripes[i];
        while (stripe->entries != NULL) {
            drop(shared, stripe, stripe->entries);
        }
        pthread_mutex_destroy(&stripe->lock);
    }
    hark_mem_free(shared);
}

size_t hark_shared_bytes(const struct hark_shared *shared)
{
    return atomic_load_explicit(&shared->bytes, memory_order_relaxed);
}

int hark_shared_get(struct hark_shared *shared,
                    const struct hark_shared_key *key,
                    struct hark_buf *buf,
                    uint64_t *ret_version)
{
    struct full_key full;
    struct stripe *stripe = NULL;
    int status = lock_stripe(shared, key, &full, &stripe);
    if (status != 0) {
        return status;
    }
    const struct entry *entry = find(shared, stripe, &full);
    status = entry == NULL ? HARK_ENOENT : hark_buf_append(buf, entry->value, entry->value_len);
    *ret_version = entry == NULL ? 0 : entry->version;
    pthread_mutex_unlock(&stripe->lock);
    return status;
}

static int allowed(const struct entry *entry, enum hark_shared_mode mode, uint64_t version)
{
    switch (mode) {
    case HARK_SHARED_SET: return 0;
    case HARK_SHARED_ADD: return entry == NULL ? 0 : HARK_EEXIST;
    case HARK_SHARED_SWAP: return version == (entry == NULL ? 0 : entry->version) ? 0 : HARK_EAGAIN;
    }
    return HARK_EINVAL;
}

int hark_shared_put(struct hark_shared *shared,
                    const struct hark_shared_key *key,
                    struct hark_slice value,
                    uint64_t ttl_ms,
                    enum hark_shared_mode mode,
                    uint64_t version)
{
    struct full_key full;
    struct stripe *stripe = NULL;
    int status = lock_stripe(shared, key, &full, &stripe);
    if (status != 0) {
        return status;
    }
    sweep(shared, stripe, SWEEP, NULL);
    struct entry *entry = find(shared, stripe, &full);
    status = allowed(entry, mode, version);
    if (status == 0) {
        status = store(shared, stripe, &full, value, &entry);
    }
    if (status == 0) {
        entry->expires_ms = due(ttl_ms);
    }
    pthread_mutex_unlock(&stripe->lock);
    return status;
}

int hark_shared_delete(struct hark_shared *shared,
                       const struct hark_shared_key *key,
                       enum hark_shared_mode mode,
                       uint64_t version)
{
    struct full_key full;
    struct stripe *stripe = NULL;
    int status = lock_stripe(shared, key, &full, &stripe);
    if (status != 0) {
        return status;
    }
    struct entry *entry = find(shared, stripe, &full);
    status = allowed(entry, mode, version);
    if (status == 0 && entry == NULL) {
        status = HARK_ENOENT;
    } else if (status == 0) {
        drop(shared, stripe, entry);
    }
    pthread_mutex_unlock(&stripe->lock);
    return status;
}

int hark_shared_change(struct hark_shared *shared,
                       const struct hark_shared_key *key,
                       uint64_t ttl_ms,
                       hark_shared_change_fn *fn,
                       void *ctx)
{
    struct full_key full;
    struct stripe *stripe = NULL;
    int status = lock_stripe(shared, key, &full, &stripe);
    if (status != 0) {
        return status;
    }
    sweep(shared, stripe, SWEEP, NULL);
    struct hark_buf made;
    hark_buf_init(&made, HARK_SHARED_VALUE_MAX);
    struct entry *entry = find(shared, stripe, &full);
    bool is_new = entry == NULL;
    status = fn(ctx, is_new ? HARK_SLICE_NONE : hark_slice(entry->value, entry->value_len), &made);
    if (status == 0) {
        status = store(shared, stripe, &full, hark_buf_slice(&made), &entry);
    }
    if (status == 0 && is_new) {
        entry->expires_ms = due(ttl_ms);
    }
    pthread_mutex_unlock(&stripe->lock);
    hark_buf_deinit(&made);
    return status;
}

int hark_shared_ttl(struct hark_shared *shared, const struct hark_shared_key *key, uint64_t *ret_ms)
{
    struct full_key full;
    struct stripe *stripe = NULL;
    int status = lock_stripe(shared, key, &full, &stripe);
    if (status != 0) {
        return status;
    }
    const struct entry *entry = find(shared, stripe, &full);
    if (entry == NULL) {
        status = HARK_ENOENT;
    } else {
        uint64_t now = now_ms(); // later than when it was found to be there
        uint64_t left = entry->expires_ms > now ? entry->expires_ms - now : 0;
        *ret_ms = entry->expires_ms == 0 ? UINT64_MAX : left;
    }
    pthread_mutex_unlock(&stripe->lock);
    return status;
}

int hark_shared_expire(struct hark_shared *shared,
                       const struct hark_shared_key *key,
                       uint64_t ttl_ms)
{
    struct full_key full;
    struct stripe *stripe = NULL;
    int status = lock_stripe(shared, key, &full, &stripe);
    if (status != 0) {
        return status;
    }
    struct entry *entry = find(shared, stripe, &full);
    if (entry != NULL) {
        entry->expires_ms = due(ttl_ms);
    }
    pthread_mutex_unlock(&stripe->lock);
    return entry == NULL ? HARK_ENOENT : 0;
}

// --- under the lock ---

static int lock_stripe(struct hark_shared *shared,
                       const struct hark_shared_key *key,
                       struct full_key *ret_full,
                       struct stripe **ret_stripe)
{
    size_t name_len = key->dictionary.len;
    if (name_len == 0 || name_len > HARK_SHARED_NAME_MAX || key->key.len > HARK_SHARED_KEY_MAX) {
        return HARK_EINVAL;
    }
    memcpy(ret_full->text, key->dictionary.ptr, name_len);
    ret_full->text[name_len] = '\0';
    if (key->key.len > 0) {
        memcpy(ret_full->text + name_len + 1, key->key.ptr, key->key.len);
    }
    ret_full->len = name_len + 1 + key->key.len;
    uint64_t hash = hark_hash_keyed(ret_full->text, ret_full->len);
    *ret_stripe = &shared->stripes[(hash >> 40) % STRIPES];
    pthread_mutex_lock(&(*ret_stripe)->lock);
    return 0;
}

static struct entry *
find(struct hark_shared *shared, struct stripe *stripe, const struct full_key *full)
{
    struct entry *entry = NULL;
    HASH_FIND(hh, stripe->entries, full->text, full->len, entry);
    if (entry != NULL && entry->expires_ms != 0 && entry->expires_ms <= now_ms()) {
        drop(shared, stripe, entry);
        return NULL;
    }
    return entry;
}

static size_t cost(size_t key_len, size_t value_len)
{
    return sizeof(struct entry) + key_len + value_len;
}

// Takes `more` bytes from what is left; expired entries of the stripe make room.
static bool
reserve(struct hark_shared *shared, struct stripe *stripe, size_t more, const struct entry *keep)
{
    for (int attempt = 0; attempt < 2; attempt++) {
        size_t held = atomic_fetch_add_explicit(&shared->bytes, more, memory_order_relaxed);
        if (held <= shared->bytes_max && more <= shared->bytes_max - held) {
            return true;
        }
        atomic_fetch_sub_explicit(&shared->bytes, more, memory_order_relaxed);
        sweep(shared, stripe, SWEEP_FULL, keep);
    }
    return false;
}

static struct entry *
add(struct hark_shared *shared, struct stripe *stripe, const struct full_key *full)
{
    struct entry *entry = hark_mem_zalloc(sizeof(*entry) + full->len);
    if (entry == NULL) {
        return NULL;
    }
    memcpy(entry->key, full->text, full->len);
    entry->key_len = (uint32_t)full->len;
    HASH_ADD_KEYPTR(hh, stripe->entries, entry->key, entry->key_len, entry);
    if (entry->hh.tbl == NULL) { // no memory for the table
        hark_mem_free(entry);
        return NULL;
    }
    atomic_fetch_add_explicit(&shared->bytes, cost(full->len, 0), memory_order_relaxed);
    return entry;
}

static int store(struct hark_shared *shared,
                 struct stripe *stripe,
                 const struct full_key *full,
                 struct hark_slice value,
                 struct entry **entry)
{
    if (value.len > HARK_SHARED_VALUE_MAX) {
        return HARK_ETOOBIG;
    }
    char *copy = hark_mem_dup(value.ptr, value.len);
    if (copy == NULL) {
        return HARK_ENOMEM;
    }
    size_t room = value.len + (*entry == NULL ? cost(full->len, 0) : 0);
    if (!reserve(shared, stripe, room, *entry)) {
        hark_mem_free(copy);
        return HARK_EFULL;
    }
    if (*entry == NULL) {
        *entry = add(shared, stripe, full);
        atomic_fetch_sub_explicit(&shared->bytes, cost(full->len, 0), memory_order_relaxed);
    }
    if (*entry == NULL) {
        atomic_fetch_sub_explicit(&shared->bytes, value.len, memory_order_relaxed);
        hark_mem_free(copy);
        return HARK_ENOMEM;
    }
    atomic_fetch_sub_explicit(&shared->bytes, (*entry)->value_len, memory_order_relaxed);
    hark_mem_free((*entry)->value);
    (*entry)->value = copy;
    (*entry)->value_len = (uint32_t)value.len;
    (*entry)->version = atomic_fetch_add_explicit(&shared->next_version, 1, memory_order_relaxed);
    return 0;
}

static void drop(struct hark_shared *shared, struct stripe *stripe, struct entry *entry)
{
    if (stripe->hand == entry) {
        stripe->hand = entry->hh.next;
    }
    HASH_DEL(stripe->entries, entry);
    atomic_fetch_sub_explicit(&shared->bytes, cost(entry->key_len, entry->value_len),
                              memory_order_relaxed);
    hark_mem_free(entry->value);
    hark_mem_free(entry);
}

// `keep` may have expired a moment ago, but is in use.
static void
sweep(struct hark_shared *shared, struct stripe *stripe, int count, const struct entry *keep)
{
    uint64_t now = 0;
    for (; count > 0 && stripe->entries != NULL; count--) {
        struct entry *entry = stripe->hand != NULL ? stripe->hand : stripe->entries;
        stripe->hand = entry->hh.next;
        if (entry->expires_ms != 0 && entry != keep) {
            now = now == 0 ? now_ms() : now;
            if (entry->expires_ms <= now) {
                drop(shared, stripe, entry);
            }
        }
    }
}

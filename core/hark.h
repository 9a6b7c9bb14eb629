// SPDX-License-Identifier: MIT
//
// The public C API of hark: status codes, version, and one opaque gateway. Everything else in core/
// is internal. A program creates a gateway from options, starts it (threads are created here), and
// drains or stops it; all functions but hark_gateway_reload and hark_gateway_drain are to be called
// from the thread that created the gateway.
#ifndef HARK_H
#define HARK_H

#include <stddef.h>
#include <stdint.h>

#define HARK_VERSION "0.1.0"
#define HARK_API     __attribute__((visibility("default")))

// One line per status: enumerator, value, text for people.
#define HARK_STATUS_MAP(X)                         \
    X(ENOMEM, -1, "out of memory")                 \
    X(EINVAL, -2, "invalid argument")              \
    X(EAGAIN, -3, "not now, try again")            \
    X(EPROTO, -4, "protocol violated by the peer") \
    X(ETOOBIG, -5, "larger than the limit")        \
    X(EFULL, -6, "full")                           \
    X(ECLOSED, -7, "closed")                       \
    X(ENOENT, -8, "no such thing")                 \
    X(EEXIST, -9, "exists already")                \
    X(EDENIED, -10, "not allowed")                 \
    X(ETIMEOUT, -11, "timed out")                  \
    X(ECANCELED, -12, "cancelled")                 \
    X(EIO, -13, "input/output error")              \
    X(ESCRIPT, -14, "error in a script")           \
    X(EBIND, -15, "cannot bind the address")       \
    X(EGAP, -16, "history no longer holds that position")

enum hark_status {
    HARK_OK = 0,

#define X(name, value, text) HARK_##name = (value),
    HARK_STATUS_MAP(X)
#undef X
};

// Text of a status code; never NULL, static.
HARK_API const char *hark_strerror(int status);

// Version of the library, as HARK_VERSION of the build.
HARK_API const char *hark_version(void);

struct hark_gateway;

// Settings of one gateway. Strings are borrowed until hark_gateway_new returns. NULL or 0 takes
// the setting from DIR/hark.conf.lua, then the environment (HARK_LISTEN, ...), then the default.
struct hark_options {
    const char *directory; // script directory; required
    const char *listen;    // "127.0.0.1:8080"; several separated by commas
    const char *admin;     // "127.0.0.1:8081"; "off" for none
    const char *lua_path;  // directory that holds hark/*.lua; NULL: found beside the library
    unsigned workers;      // number of worker threads
    int degraded;          // start although some scripts are broken
};

// Reads settings and loads the scripts. On failure *ret_why (if not NULL) is an allocated text that
// names key, value and what is allowed; free() it. ESCRIPT: scripts are broken; EINVAL: settings.
HARK_API int
hark_gateway_new(const struct hark_options *options, struct hark_gateway **ret, char **ret_why);

// Binds the listeners and starts the workers. EBIND when an address cannot be had.
HARK_API int hark_gateway_start(struct hark_gateway *gateway, char **ret_why);

// Where it listens, for people: "http://127.0.0.1:8080"; NULL past the last. Valid until free.
HARK_API const char *hark_gateway_address(const struct hark_gateway *gateway, unsigned index);
// The admin address in the same form, NULL when off; and the key it wants.
HARK_API const char *hark_gateway_admin(const struct hark_gateway *gateway);
HARK_API const char *hark_gateway_admin_key(const struct hark_gateway *gateway);

// Blocks until the gateway has stopped after a drain or stop.
HARK_API void hark_gateway_join(struct hark_gateway *gateway);

// Asks for a look at the script directory. Any thread, also a signal handler's self-pipe reader.
HARK_API void hark_gateway_reload(struct hark_gateway *gateway);

// Stops accepting, tells clients to come back with a spread delay, ends by deadline_ms. Any thread.
HARK_API void hark_gateway_drain(struct hark_gateway *gateway, uint64_t deadline_ms);

// Frees a gateway that was never started or has been joined. NULL is fine.
HARK_API void hark_gateway_free(struct hark_gateway *gateway);

#endif

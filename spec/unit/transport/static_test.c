// SPDX-License-Identifier: MIT
//
// Files over HTTP from a temporary directory: types, validators, ranges, redirects, and every way
// out of the directory that must not be one, with openat2 and without.
#include "http_fixture.h"

#include <fcntl.h>
#include <ftw.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "transport/static.h"
#include "transport/static_file.h"
#include "transport/static_types.h"

#define BIG_LEN (3 * 1024 * 1024 + 17)

struct site {
    struct fixture fixture;
    char top[64]; // holds public/ and what lies beside it
    char root[80];
    struct hark_static *files;
    int fd;
};

static void write_file(const struct site *site, const char *name, const char *text, size_t len)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", site->top, name);
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0644);
    assert_true(fd >= 0);
    while (len > 0) {
        ssize_t n = write(fd, text, len);
        assert_true(n > 0);
        text += n;
        len -= (size_t)n;
    }
    const struct timespec times[2] = {{784111777, 5}, {784111777, 5}};
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
}

static void make_dir(const struct site *site, const char *name)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", site->top, name);
    assert_int_equal(mkdir(path, 0755), 0);
}

static void make_link(const struct site *site, const char *target, const char *name)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", site->top, name);
    assert_int_equal(symlink(target, path), 0);
}

static char *big_text(void)
{
    char *text = malloc(BIG_LEN);
    assert_non_null(text);
    for (size_t i = 0; i < BIG_LEN; i++) {
        text[i] = (char)(i * 7 + i / 65536);
    }
    return text;
}

static void on_site_request(struct fixture *f, struct hark_exchange *exchange)
{
    struct site *site = HARK_CONTAINER_OF(f, struct site, fixture);
    if (!hark_static_serve(site->files, exchange)) {
        hark_exchange_refuse(exchange, 404, HARK_SLICE_NONE);
    }
}

static int site_setup(void **state)
{
    struct site *site = calloc(1, sizeof(*site));
    assert_non_null(site);
    fixture_init(&site->fixture);
    site->fixture.handler = on_site_request;
    strcpy(site->top, "/tmp/hark_static_XXXXXX");
    assert_non_null(mkdtemp(site->top));
    snprintf(site->root, sizeof(site->root), "%s/public", site->top);
    make_dir(site, "public");
    make_dir(site, "public/sub");
    make_dir(site, "public/a b");
    make_dir(site, "public/bare");
    make_dir(site, "public/.git");
    make_dir(site, "public/odd.html");
    write_file(site, "secret.txt", "secret", 6);
    write_file(site, "public/index.html", "<p>top", 6);
    write_file(site, "public/sub/index.html", "<p>sub", 6);
    write_file(site, "public/a b/index.html", "<p>a b", 6);
    write_file(site, "public/page.HTML", "0123456789", 10);
    write_file(site, "public/empty.css", "", 0);
    write_file(site, "public/.hidden", "hidden", 6);
    write_file(site, "public/.git/config", "hidden", 6);
    make_link(site, "../secret.txt", "public/out.txt");
    make_link(site, "/etc/passwd", "public/passwd");
    make_link(site, "..", "public/up");
    make_link(site, "page.HTML", "public/inside.txt");
    char path[256];
    snprintf(path, sizeof(path), "%s/public/pipe", site->top);
    assert_int_equal(mkfifo(path, 0644), 0);
    assert_int_equal(hark_static_open(site->root, &site->files), 0);
    site->fd = client_open(&site->fixture);
    *state = site;
    return 0;
}

static int remove_one(const char *path, const struct stat *stat, int kind, struct FTW *ftw)
{
    (void)stat;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static int site_teardown(void **state)
{
    struct site *site = *state;
    close(site->fd);
    hark_static_free(site->files);
    fixture_deinit(&site->fixture);
    assert_int_equal(nftw(site->top, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    free(site);
    return 0;
}

static void ask(struct site *site, const char *method, const char *path, const char *fields)
{
    char text[1024];
    int len = snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: a\r\n" ID "%s\r\n", method,
                       path, fields);
    client_send(&site->fixture, site->fd, hark_slice(text, (size_t)len));
}

static void expect(struct site *site, const char *text)
{
    client_expect(&site->fixture, site->fd, text);
}

// The validators of a file, as they stand in a response.
static const char *validators(const struct site *site, const char *name, char *room, size_t size)
{
    char path[256];
    struct stat stat_of;
    snprintf(path, sizeof(path), "%s/%s", site->root, name);
    assert_int_equal(stat(path, &stat_of), 0);
    snprintf(room, size,
             "ETag: \"%llx-%llx-2ebc98a1.5\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
             "Cache-Control: no-cache\r\n",
             (unsigned long long)stat_of.st_ino, (unsigned long long)stat_of.st_size);
    return room;
}

static const char *etag(const struct site *site, const char *name, char *room, size_t size)
{
    validators(site, name, room, size);
    *strchr(room, '\r') = '\0';
    return room + strlen("ETag: ");
}

#define HTML "Content-Type: text/html; charset=utf-8\r\n"
#define SAFE "X-Content-Type-Options: nosniff\r\nAccept-Ranges: bytes\r\n"

static void
expect_ok(struct site *site, const char *name, const char *type, const char *body, bool is_head)
{
    char room[256];
    char text[1024];
    snprintf(text, sizeof(text),
             "HTTP/1.1 200 OK\r\n" DATE "%s%s" SAFE ID "Content-Length: %zu\r\n\r\n%s",
             validators(site, name, room, sizeof(room)), type, strlen(body), is_head ? "" : body);
    expect(site, text);
}

#define NOT_FOUND "HTTP/1.1 404 Not Found\r\n" DATE ID "Content-Length: 0\r\n\r\n"

static void test_files(void **state)
{
    struct site *site = *state;
    ask(site, "GET", "/page.HTML", "");
    expect_ok(site, "page.HTML", HTML, "0123456789", false);
    ask(site, "GET", "/page.HTML?query", "");
    expect_ok(site, "page.HTML", HTML, "0123456789", false);
    ask(site, "GET", "/%70age.HTML", "");
    expect_ok(site, "page.HTML", HTML, "0123456789", false);
    ask(site, "HEAD", "/page.HTML", "");
    expect_ok(site, "page.HTML", HTML, "0123456789", true);
    ask(site, "GET", "/empty.css", "");
    expect_ok(site, "empty.css", "Content-Type: text/css; charset=utf-8\r\n", "", false);
    ask(site, "GET", "/", "");
    expect_ok(site, "index.html", HTML, "<p>top", false);
    ask(site, "GET", "/sub/", "");
    expect_ok(site, "sub/index.html", HTML, "<p>sub", false);
    ask(site, "GET", "/a%20b/", "");
    expect_ok(site, "a b/index.html", HTML, "<p>a b", false);
}

static void test_no_such_file(void **state)
{
    struct site *site = *state;
    static const char *const paths[] = {
        "/none",       "/page.HTML/",      "/page.HTML/x", "/bare",     "/bare/",
        "//page.HTML", "/sub//index.html", "/none/",       "/odd.html", "/pipe",
    };
    for (size_t i = 0; i < HARK_ARRAY_LEN(paths); i++) {
        ask(site, "GET", paths[i], "");
        expect(site, NOT_FOUND);
    }
    ask(site, "OPTIONS", "*", "");
    expect(site, NOT_FOUND);
}

static void test_hidden_and_outside(void **state)
{
    struct site *site = *state;
    static const char *const paths[] = {
        "/.hidden",           "/%2ehidden",
        "/.git/config",       "/../secret.txt",
        "/%2e%2e/secret.txt", "/sub/../../secret.txt",
        "/out.txt",           "/passwd",
        "/up/secret.txt",     "/up/public/page.HTML",
        "/sub/.../x",         "/a%2Fb",
        "/sub%2Findex.html",
    };
    write_file(site, "public/a%2Fb", "x", 1);
    for (size_t i = 0; i < HARK_ARRAY_LEN(paths); i++) {
        ask(site, "GET", paths[i], "");
        expect(site, NOT_FOUND);
    }
    ask(site, "GET", "/inside.txt", ""); // a link that stays inside
    char room[256];
    char text[1024];
    snprintf(text, sizeof(text),
             "HTTP/1.1 200 OK\r\n" DATE "%sContent-Type: text/plain; charset=utf-8\r\n" SAFE ID
             "Content-Length: 10\r\n\r\n0123456789",
             validators(site, "page.HTML", room, sizeof(room)));
    expect(site, text);
}

static void test_directories_are_redirected(void **state)
{
    struct site *site = *state;
    ask(site, "GET", "/sub", "");
    expect(site, "HTTP/1.1 301 Moved Permanently\r\n" DATE "Location: /sub/\r\n" ID
                 "Content-Length: 0\r\n\r\n");
    ask(site, "GET", "/a%20b?x=%20y", "");
    expect(site, "HTTP/1.1 301 Moved Permanently\r\n" DATE "Location: /a%20b/?x=%20y\r\n" ID
                 "Content-Length: 0\r\n\r\n");
}

static void test_other_methods(void **state)
{
    struct site *site = *state;
#define NOT_ALLOWED                                                                         \
    "HTTP/1.1 405 Method Not Allowed\r\n" DATE "Allow: GET, HEAD\r\n" ID "Content-Length: " \
    "0\r\n\r\n"
    ask(site, "POST", "/page.HTML", "Content-Length: 0\r\n");
    expect(site, NOT_ALLOWED);
    ask(site, "DELETE", "/sub", "");
    expect(site, NOT_ALLOWED);
    ask(site, "POST", "/none", "Content-Length: 0\r\n");
    expect(site, NOT_FOUND);
}

static void expect_bare(struct site *site, const char *status, const char *name)
{
    char room[256];
    char text[1024];
    snprintf(text, sizeof(text), "HTTP/1.1 %s\r\n" DATE "%s" ID "%s\r\n", status,
             validators(site, name, room, sizeof(room)),
             strncmp(status, "304", 3) == 0 ? "" : "Content-Length: 0\r\n");
    expect(site, text);
}

// Puts the tag in the place of '@'.
static void fill(char *room, size_t size, const char *pattern, const char *tag)
{
    const char *at = strchr(pattern, '@');
    int before = at == NULL ? (int)strlen(pattern) : (int)(at - pattern);
    snprintf(room, size, "%.*s%s%s", before, pattern, at == NULL ? "" : tag,
             at == NULL ? "" : at + 1);
}

static void test_conditions(void **state)
{
    struct site *site = *state;
    char tag_room[256];
    char field[512];
    const char *tag = etag(site, "page.HTML", tag_room, sizeof(tag_room));
    static const char *const unchanged[] = {
        "If-None-Match: @\r\n",
        "If-None-Match: \"x\", @\r\n",
        "If-None-Match: \"x\"\r\nIf-None-Match: W/@\r\n",
        "If-None-Match: *\r\n",
        "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
        "If-Modified-Since: Mon, 07 Nov 1994 08:49:37 GMT\r\n",
    };
    for (size_t i = 0; i < HARK_ARRAY_LEN(unchanged); i++) {
        fill(field, sizeof(field), unchanged[i], tag);
        ask(site, i % 2 == 0 ? "GET" : "HEAD", "/page.HTML", field);
        expect_bare(site, "304 Not Modified", "page.HTML");
    }
    static const char *const changed[] = {
        "If-None-Match: \"x\"\r\n",
        // An entity tag that does not match goes before the date.
        "If-None-Match: \"x\"\r\nIf-Modified-Since: Mon, 07 Nov 1994 08:49:37 GMT\r\n",
        "If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n",
        "If-Modified-Since: yesterday\r\n",
        "If-Match: @\r\n",
        "If-Match: *\r\n",
        "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
    };
    for (size_t i = 0; i < HARK_ARRAY_LEN(changed); i++) {
        fill(field, sizeof(field), changed[i], tag);
        ask(site, "GET", "/page.HTML", field);
        expect_ok(site, "page.HTML", HTML, "0123456789", false);
    }
    static const char *const failed[] = {
        "If-Match: \"x\"\r\n",
        "If-Match: W/@\r\n",
        "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n",
    };
    for (size_t i = 0; i < HARK_ARRAY_LEN(failed); i++) {
        fill(field, sizeof(field), failed[i], tag);
        ask(site, "GET", "/page.HTML", field);
        expect_bare(site, "412 Precondition Failed", "page.HTML");
    }
}

static void expect_part(struct site *site, const char *range, const char *body)
{
    char room[256];
    char text[1024];
    snprintf(text, sizeof(text),
             "HTTP/1.1 206 Partial Content\r\n" DATE "%s" HTML SAFE
             "Content-Range: bytes %s/10\r\n" ID "Content-Length: %zu\r\n\r\n%s",
             validators(site, "page.HTML", room, sizeof(room)), range, strlen(body), body);
    expect(site, text);
}

static void test_ranges(void **state)
{
    struct site *site = *state;
    char tag_room[256];
    char field[512];
    const char *tag = etag(site, "page.HTML", tag_room, sizeof(tag_room));
    ask(site, "GET", "/page.HTML", "Range: bytes=2-4\r\n");
    expect_part(site, "2-4", "234");
    ask(site, "GET", "/page.HTML", "Range: bytes=7-\r\n");
    expect_part(site, "7-9", "789");
    ask(site, "GET", "/page.HTML", "Range: bytes=-1\r\n");
    expect_part(site, "9-9", "9");
    snprintf(field, sizeof(field), "Range: bytes=0-0\r\nIf-Range: %s\r\n", tag);
    ask(site, "GET", "/page.HTML", field);
    expect_part(site, "0-0", "0");
    ask(site, "GET", "/page.HTML",
        "Range: bytes=0-0\r\nIf-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
    expect_part(site, "0-0", "0");
    static const char *const whole[] = {
        "Range: bytes=0-0\r\nIf-Range: \"x\"\r\n",
        "Range: bytes=0-0\r\nIf-Range: Sun, 06 Nov 1994 08:49:38 GMT\r\n",
        "Range: bytes=0-0,2-2\r\n",
        "Range: lines=0-0\r\n",
    };
    for (size_t i = 0; i < HARK_ARRAY_LEN(whole); i++) {
        ask(site, "GET", "/page.HTML", whole[i]);
        expect_ok(site, "page.HTML", HTML, "0123456789", false);
    }
    snprintf(field, sizeof(field), "Range: bytes=0-0\r\nIf-Range: W/%s\r\n", tag);
    ask(site, "GET", "/page.HTML", field);
    expect_ok(site, "page.HTML", HTML, "0123456789", false);
    ask(site, "HEAD", "/page.HTML", "Range: bytes=0-0\r\n"); // for GET only
    expect_ok(site, "page.HTML", HTML, "0123456789", true);
    ask(site, "GET", "/page.HTML", "Range: bytes=10-\r\n");
    char room[256];
    char text[1024];
    snprintf(text, sizeof(text),
             "HTTP/1.1 416 Range Not Satisfiable\r\n" DATE "%sContent-Range: bytes */10\r\n" ID
             "Content-Length: 0\r\n\r\n",
             validators(site, "page.HTML", room, sizeof(room)));
    expect(site, text);
}

static void skip_head(struct site *site)
{
    char last[4] = {0};
    bool end = false;
    while (memcmp(last, "\r\n\r\n", 4) != 0) {
        struct hark_slice byte = client_read(&site->fixture, site->fd, 1, &end);
        assert_false(end);
        memmove(last, last + 1, 3);
        last[3] = byte.ptr[0];
    }
}

static void test_a_big_file(void **state)
{
    struct site *site = *state;
    char *text = big_text();
    write_file(site, "public/big.bin", text, BIG_LEN);
    bool end = false;
    ask(site, "GET", "/big.bin", "");
    ask(site, "GET", "/big.bin", "Range: bytes=1000001-2000000\r\n");
    skip_head(site);
    struct hark_slice got = client_read(&site->fixture, site->fd, BIG_LEN, &end);
    assert_int_equal(got.len, BIG_LEN);
    assert_memory_equal(got.ptr, text, BIG_LEN);
    skip_head(site);
    got = client_read(&site->fixture, site->fd, 1000000, &end);
    assert_int_equal(got.len, 1000000);
    assert_memory_equal(got.ptr, text + 1000001, 1000000);
    free(text);
}

static void test_a_file_that_shrinks_cuts_the_connection(void **state)
{
    struct site *site = *state;
    char *text = big_text();
    write_file(site, "public/big.bin", text, BIG_LEN);
    free(text);
    ask(site, "GET", "/big.bin", "");
    skip_head(site);
    char path[256];
    snprintf(path, sizeof(path), "%s/big.bin", site->root);
    assert_int_equal(truncate(path, 10), 0);
    bool end = false;
    struct hark_slice got = client_read(&site->fixture, site->fd, SIZE_MAX, &end);
    assert_true(end);
    assert_true(got.len < BIG_LEN);
}

static void test_a_directory_that_is_swapped(void **state)
{
    struct site *site = *state;
    char aside[128];
    snprintf(aside, sizeof(aside), "%s/old", site->top);
    assert_int_equal(rename(site->root, aside), 0);
    ask(site, "GET", "/page.HTML", "");
    expect(site, NOT_FOUND);
    make_dir(site, "public");
    write_file(site, "public/page.HTML", "new", 3);
    ask(site, "GET", "/page.HTML", "");
    expect_ok(site, "page.HTML", HTML, "new", false);
}

static void test_open_needs_a_directory(void **state)
{
    struct site *site = *state;
    struct hark_static *files = NULL;
    char path[256];
    snprintf(path, sizeof(path), "%s/none", site->top);
    assert_int_equal(hark_static_open(path, &files), HARK_ENOENT);
    snprintf(path, sizeof(path), "%s/secret.txt", site->top);
    assert_int_equal(hark_static_open(path, &files), HARK_ENOENT);
    assert_null(files);
    hark_static_free(NULL);
}

// 0: opens; else which check failed. Runs where openat2 says ENOSYS.
static int check_without_openat2(const char *root)
{
    static const char *const good[] = {"/page.HTML", "/sub/index.html", "/index.html"};
    static const char *const bad[] = {"/out.txt", "/passwd",   "/up/secret.txt", "/inside.txt",
                                      "/none",    "/sub/none", "/page.HTML/x",   "/.hidden"};
    struct hark_static_file file;
    for (size_t i = 0; i < HARK_ARRAY_LEN(good); i++) {
        if (hark_static_file_open(root, hark_slice_text(good[i]), &file) != 0) {
            return 10 + (int)i;
        }
        hark_static_file_close(&file);
    }
    for (size_t i = 0; i < HARK_ARRAY_LEN(bad); i++) {
        if (hark_static_file_open(root, hark_slice_text(bad[i]), &file) != HARK_ENOENT) {
            return 20 + (int)i;
        }
    }
    return 0;
}

static void test_without_openat2(void **state)
{
    struct site *site = *state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct sock_filter steps[] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        const struct sock_fprog program = {.len = HARK_ARRAY_LEN(steps), .filter = steps};
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
            prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
            _exit(1);
        }
        _exit(check_without_openat2(site->root));
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_types(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"/a.html", "text/html; charset=utf-8"},
        {"a.JS", "text/javascript; charset=utf-8"},
        {"/a.b/c", "application/octet-stream"},
        {"/a", "application/octet-stream"},
        {"/a.", "application/octet-stream"},
        {"/a.tar.gz", "application/gzip"},
        {"/a.svg", "image/svg+xml"},
        {"", "application/octet-stream"},
    };
    for (size_t i = 0; i < HARK_ARRAY_LEN(rows); i++) {
        assert_slice(hark_static_types_find(hark_slice_text(rows[i][0])), rows[i][1]);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, site_setup, site_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_files),
        TEST(test_no_such_file),
        TEST(test_hidden_and_outside),
        TEST(test_directories_are_redirected),
        TEST(test_other_methods),
        TEST(test_conditions),
        TEST(test_ranges),
        TEST(test_a_big_file),
        TEST(test_a_file_that_shrinks_cuts_the_connection),
        TEST(test_a_directory_that_is_swapped),
        TEST(test_open_needs_a_directory),
        TEST(test_without_openat2),
        cmocka_unit_test(test_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

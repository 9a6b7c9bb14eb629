// SPDX-License-Identifier: MIT
//
// Files over HTTP; see static.h. Stateless but for the directory's name: each request opens its
// file, so what is on disk is what is served, and one of these may serve several workers.
#include "transport/static.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "base/mem.h"
#include "hark.h"
#include "proto/http_cond.h"
#include "proto/http_date.h"
#include "proto/uri.h"
#include "transport/static_file.h"
#include "transport/static_types.h"

#define FIELDS_MAX 8
#define ETAG_MAX   64
#define RANGE_MAX  80

struct hark_static {
    char *directory;
};

// One request on its way to an answer.
struct serving {
    struct hark_exchange *exchange;
    const struct hark_request *request;
    struct hark_static_file file;
    struct hark_http_validators validators;
    struct hark_header fields[FIELDS_MAX];
    size_t field_count;
    char etag[ETAG_MAX];
    char modified[HARK_HTTP_DATE_LEN];
    char range[RANGE_MAX];
};

static int
find(const struct hark_static *files, struct hark_slice path, struct hark_static_file *ret);
static int
find_index(const struct hark_static *files, struct hark_slice path, struct hark_static_file *ret);
static void serve(struct serving *serving);
static void set_validators(struct serving *serving);
static void add_field(struct serving *serving, struct hark_slice name, struct hark_slice value);
static void serve_content(struct serving *serving);
static void serve_bytes(struct serving *serving, int status, uint64_t first, uint64_t length);
static void answer(struct serving *serving, int status);
static void redirect(struct serving *serving);
static bool is_method(const struct serving *serving, struct hark_slice method);

int hark_static_open(const char *directory, struct hark_static **ret)
{
    struct stat stat_of;
    if (stat(directory, &stat_of) != 0 || !S_ISDIR(stat_of.st_mode)) {
        return HARK_ENOENT;
    }
    struct hark_static *files = hark_mem_alloc(sizeof(*files));
    char *copy = hark_mem_dup(directory, strlen(directory));
    if (files == NULL || copy == NULL) {
        hark_mem_free(copy);
        hark_mem_free(files);
        return HARK_ENOMEM;
    }
    files->directory = copy;
    *ret = files;
    return 0;
}

void hark_static_free(struct hark_static *files)
{
    if (files != NULL) {
        hark_mem_free(files->directory);
        hark_mem_free(files);
    }
}

bool hark_static_serve(struct hark_static *files, struct hark_exchange *exchange)
{
    struct serving serving = {
        .exchange = exchange,
        .request = hark_exchange_request(exchange),
        .file = {.fd = -1},
    };
    int status = find(files, serving.request->path, &serving.file);
    if (status == HARK_ENOENT) {
        return false;
    }
    if (status != 0) {
        hark_exchange_refuse(exchange, 503, HARK_LIT("busy"));
    } else if (!is_method(&serving, HARK_LIT("GET")) && !is_method(&serving, HARK_LIT("HEAD"))) {
        add_field(&serving, HARK_LIT("Allow"), HARK_LIT("GET, HEAD"));
        answer(&serving, 405);
    } else if (serving.file.is_directory) {
        redirect(&serving);
    } else {
        serve(&serving);
    }
    hark_static_file_close(&serving.file);
    return true;
}

// The file that the path names. A directory stands for its index.html: behind a final slash that
// file is opened, without one the directory itself is, to be redirected.
static int
find(const struct hark_static *files, struct hark_slice path, struct hark_static_file *ret)
{
    if (path.len > 0 && path.ptr[path.len - 1] == '/') {
        return find_index(files, path, ret);
    }
    int status = hark_static_file_open(files->directory, path, ret);
    if (status != 0 || !ret->is_directory) {
        return status;
    }
    struct hark_static_file index = {.fd = -1};
    status = find_index(files, path, &index);
    hark_static_file_close(&index);
    if (status != 0) {
        hark_static_file_close(ret);
    }
    return status;
}

static int
find_index(const struct hark_static *files, struct hark_slice path, struct hark_static_file *ret)
{
    bool has_slash = path.ptr[path.len - 1] == '/';
    char name[PATH_MAX];
    int len = snprintf(name, sizeof(name), "%.*s%sindex.html", (int)path.len, path.ptr,
                       has_slash ? "" : "/");
    if (len < 0 || (size_t)len >= sizeof(name)) {
        return HARK_ENOENT;
    }
    struct hark_static_file file = {.fd = -1};
    int status = hark_static_file_open(files->directory, hark_slice(name, (size_t)len), &file);
    if (status == 0 && file.is_directory) {
        hark_static_file_close(&file);
        return HARK_ENOENT;
    }
    if (status == 0) {
        *ret = file;
    }
    return status;
}

static void serve(struct serving *serving)
{
    set_validators(serving);
    // With 304 too: RFC 9110 section 15.4.5.
    add_field(serving, HARK_LIT("ETag"), serving->validators.etag);
    add_field(serving, HARK_LIT("Last-Modified"),
              hark_slice(serving->modified, HARK_HTTP_DATE_LEN));
    add_field(serving, HARK_LIT("Cache-Control"), HARK_LIT("no-cache"));
    switch (hark_http_cond_check(serving->request, &serving->validators)) {
    case HARK_HTTP_VERDICT_UNCHANGED: answer(serving, 304); break;
    case HARK_HTTP_VERDICT_FAILED: answer(serving, 412); break;
    case HARK_HTTP_VERDICT_GO: serve_content(serving); break;
    }
}

// The tag is strong: it names inode, size and the time of the last change to the nanosecond.
static void set_validators(struct serving *serving)
{
    const struct hark_static_file *file = &serving->file;
    int len = snprintf(serving->etag, sizeof(serving->etag), "\"%llx-%llx-%llx.%x\"",
                       (unsigned long long)file->inode, (unsigned long long)file->size,
                       (unsigned long long)file->modified, (unsigned)file->modified_ns);
    serving->validators = (struct hark_http_validators){
        .etag = hark_slice(serving->etag, (size_t)len),
        .modified = file->modified,
        .now = time(NULL),
    };
    hark_http_date_format(file->modified, serving->modified);
}

static void add_field(struct serving *serving, struct hark_slice name, struct hark_slice value)
{
    assert(serving->field_count < FIELDS_MAX);
    serving->fields[serving->field_count++] = (struct hark_header){.name = name, .value = value};
}

// 200, 206 or 416 (RFC 9110 section 14). A range is for GET only, and only of the version asked
// for.
static void serve_content(struct serving *serving)
{
    struct hark_slice path = serving->request->path;
    bool is_index = path.ptr[path.len - 1] == '/';
    uint64_t size = serving->file.size;
    uint64_t first = 0;
    uint64_t last = 0;
    enum hark_http_range range = HARK_HTTP_RANGE_WHOLE;
    if (is_method(serving, HARK_LIT("GET")) &&
        hark_http_cond_if_range(serving->request, &serving->validators)) {
        range = hark_http_cond_range(hark_request_value(serving->request, HARK_LIT("Range")), size,
                                     &first, &last);
    }
    if (range == HARK_HTTP_RANGE_NONE) {
        int len = snprintf(serving->range, RANGE_MAX, "bytes */%llu", (unsigned long long)size);
        add_field(serving, HARK_LIT("Content-Range"), hark_slice(serving->range, (size_t)len));
        answer(serving, 416);
        return;
    }
    struct hark_slice type = hark_static_types_find(is_index ? HARK_LIT(".html") : path);
    add_field(serving, HARK_LIT("Content-Type"), type);
    add_field(serving, HARK_LIT("X-Content-Type-Options"), HARK_LIT("nosniff"));
    add_field(serving, HARK_LIT("Accept-Ranges"), HARK_LIT("bytes"));
    if (range == HARK_HTTP_RANGE_WHOLE) {
        serve_bytes(serving, 200, 0, size);
        return;
    }
    int len = snprintf(serving->range, RANGE_MAX, "bytes %llu-%llu/%llu", (unsigned long long)first,
                       (unsigned long long)last, (unsigned long long)size);
    add_field(serving, HARK_LIT("Content-Range"), hark_slice(serving->range, (size_t)len));
    serve_bytes(serving, 206, first, last - first + 1);
}

static void serve_bytes(struct serving *serving, int status, uint64_t first, uint64_t length)
{
    const struct hark_response head = {
        .status = status,
        .headers = serving->fields,
        .header_count = serving->field_count,
    };
    void *body = hark_static_file_body(&serving->file, first);
    if (body == NULL) {
        hark_exchange_refuse(serving->exchange, 503, HARK_LIT("busy"));
        return;
    }
    hark_exchange_respond_from(serving->exchange, &head, length, &hark_static_file_source, body);
}

static void answer(struct serving *serving, int status)
{
    const struct hark_response response = {
        .status = status,
        .headers = serving->fields,
        .header_count = serving->field_count,
    };
    hark_exchange_respond(serving->exchange, &response);
}

// To the path with a slash at its end, escaped anew: relative links of the page need it. The path
// has no empty segment, so it cannot be taken for "//host".
static void redirect(struct serving *serving)
{
    struct hark_slice path = serving->request->path;
    struct hark_slice query = serving->request->query;
    struct hark_buf location;
    hark_buf_init(&location, 3 * path.len + query.len + 2);
    int status = hark_uri_escape(&location, path);
    status = status == 0 ? hark_buf_append_text(&location, query.len > 0 ? "/?" : "/") : status;
    status = status == 0 ? hark_buf_append_slice(&location, query) : status;
    if (status != 0) {
        hark_exchange_refuse(serving->exchange, 503, HARK_LIT("busy"));
    } else {
        add_field(serving, HARK_LIT("Location"), hark_buf_slice(&location));
        answer(serving, 301);
    }
    hark_buf_deinit(&location);
}

static bool is_method(const struct serving *serving, struct hark_slice method)
{
    return hark_slice_is(serving->request->method, method);
}

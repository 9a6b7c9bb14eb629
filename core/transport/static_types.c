// SPDX-License-Identifier: MIT
//
// Media types of files by their suffix; see static_types.h. What a page and its assets need; text
// is UTF-8. X-Content-Type-Options keeps browsers from guessing at the rest.
#include "transport/static_types.h"

#include "base/attr.h"

struct type {
    struct hark_slice suffix;
    struct hark_slice type;
};

static const struct type TYPES[] = {
    {HARK_LIT("html"), HARK_LIT("text/html; charset=utf-8")},
    {HARK_LIT("htm"), HARK_LIT("text/html; charset=utf-8")},
    {HARK_LIT("css"), HARK_LIT("text/css; charset=utf-8")},
    {HARK_LIT("js"), HARK_LIT("text/javascript; charset=utf-8")},
    {HARK_LIT("mjs"), HARK_LIT("text/javascript; charset=utf-8")},
    {HARK_LIT("json"), HARK_LIT("application/json")},
    {HARK_LIT("map"), HARK_LIT("application/json")},
    {HARK_LIT("webmanifest"), HARK_LIT("application/manifest+json")},
    {HARK_LIT("wasm"), HARK_LIT("application/wasm")},
    {HARK_LIT("svg"), HARK_LIT("image/svg+xml")},
    {HARK_LIT("png"), HARK_LIT("image/png")},
    {HARK_LIT("jpg"), HARK_LIT("image/jpeg")},
    {HARK_LIT("jpeg"), HARK_LIT("image/jpeg")},
    {HARK_LIT("gif"), HARK_LIT("image/gif")},
    {HARK_LIT("webp"), HARK_LIT("image/webp")},
    {HARK_LIT("avif"), HARK_LIT("image/avif")},
    {HARK_LIT("ico"), HARK_LIT("image/x-icon")},
    {HARK_LIT("woff2"), HARK_LIT("font/woff2")},
    {HARK_LIT("woff"), HARK_LIT("font/woff")},
    {HARK_LIT("ttf"), HARK_LIT("font/ttf")},
    {HARK_LIT("otf"), HARK_LIT("font/otf")},
    {HARK_LIT("txt"), HARK_LIT("text/plain; charset=utf-8")},
    {HARK_LIT("md"), HARK_LIT("text/markdown; charset=utf-8")},
    {HARK_LIT("csv"), HARK_LIT("text/csv; charset=utf-8")},
    {HARK_LIT("xml"), HARK_LIT("application/xml")},
    {HARK_LIT("pdf"), HARK_LIT("application/pdf")},
    {HARK_LIT("zip"), HARK_LIT("application/zip")},
    {HARK_LIT("gz"), HARK_LIT("application/gzip")},
    {HARK_LIT("mp3"), HARK_LIT("audio/mpeg")},
    {HARK_LIT("ogg"), HARK_LIT("audio/ogg")},
    {HARK_LIT("wav"), HARK_LIT("audio/wav")},
    {HARK_LIT("mp4"), HARK_LIT("video/mp4")},
    {HARK_LIT("webm"), HARK_LIT("video/webm")},
};

struct hark_slice hark_static_types_find(struct hark_slice path)
{
    size_t at = path.len;
    while (at > 0 && path.ptr[at - 1] != '.' && path.ptr[at - 1] != '/') {
        at--;
    }
    bool has_suffix = at > 0 && path.ptr[at - 1] == '.';
    struct hark_slice suffix = has_suffix ? hark_slice_from(path, at) : HARK_SLICE_NONE;
    for (size_t i = 0; i < HARK_ARRAY_LEN(TYPES); i++) {
        if (hark_slice_is_nocase(suffix, TYPES[i].suffix)) {
            return TYPES[i].type;
        }
    }
    return HARK_LIT("application/octet-stream");
}

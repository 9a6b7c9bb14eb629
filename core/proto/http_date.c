// SPDX-License-Identifier: MIT
//
// HTTP dates; see http_date.h. The calendar is the proleptic Gregorian one, counted in eras of 400
// years that begin on the first of March, so that the leap day is the last day of a year.
#include "proto/http_date.h"

#include <stddef.h>

#define DAY_SECONDS 86400
#define ERA_DAYS    146097
#define EPOCH_DAYS  719468 // from 0000-03-01 to 1970-01-01

static const char DAYS[] = "SunMonTueWedThuFriSat";
static const char MONTHS[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

struct civil {
    int64_t year;
    int64_t month; // 1 to 12
    int64_t day;
    int64_t hour;
    int64_t minute;
    int64_t second;
};

// Reads one date form, left to right; ok turns false at the first byte that does not fit.
struct reader {
    struct hark_slice rest;
    bool ok;
};

static struct civil civil_from_days(int64_t days);
static int64_t days_from_civil(const struct civil *civil);
static void put_digits(char *out, int64_t value, size_t digits);
static void read_fixed(struct reader *reader, struct civil *ret);
static void read_rfc850(struct reader *reader, int64_t now, struct civil *ret);
static void read_asctime(struct reader *reader, struct civil *ret);
static bool is_sane(const struct civil *civil);

void hark_http_date_format(int64_t seconds, char *out)
{
    const int64_t lowest = -62167219200;  // 0000-01-01 00:00:00
    const int64_t highest = 253402300799; // 9999-12-31 23:59:59
    seconds = seconds < lowest ? lowest : seconds;
    seconds = seconds > highest ? highest : seconds;
    int64_t days = seconds / DAY_SECONDS;
    int64_t left = seconds % DAY_SECONDS;
    if (left < 0) {
        left += DAY_SECONDS;
        days--;
    }
    struct civil civil = civil_from_days(days);
    int64_t weekday = ((days + 4) % 7 + 7) % 7; // 1970-01-01 was a Thursday
    memcpy(out, "Day, 00 Mon 0000 00:00:00 GMT", HARK_HTTP_DATE_LEN);
    memcpy(out, DAYS + weekday * 3, 3);
    put_digits(out + 5, civil.day, 2);
    memcpy(out + 8, MONTHS + (civil.month - 1) * 3, 3);
    put_digits(out + 12, civil.year, 4);
    put_digits(out + 17, left / 3600, 2);
    put_digits(out + 20, left / 60 % 60, 2);
    put_digits(out + 23, left % 60, 2);
}

bool hark_http_date_parse(struct hark_slice text, int64_t now, int64_t *ret)
{
    struct reader reader = {.rest = text, .ok = true};
    struct civil civil = {0};
    if (text.len == HARK_HTTP_DATE_LEN && text.ptr[3] == ',') {
        read_fixed(&reader, &civil);
    } else if (text.len > 3 && memchr(text.ptr, ',', text.len) != NULL) {
        read_rfc850(&reader, now, &civil);
    } else {
        read_asctime(&reader, &civil);
    }
    if (!reader.ok || reader.rest.len > 0 || !is_sane(&civil)) {
        return false;
    }
    *ret = days_from_civil(&civil) * DAY_SECONDS + civil.hour * 3600 + civil.minute * 60 +
           civil.second;
    return true;
}

static struct civil civil_from_days(int64_t days)
{
    int64_t since = days + EPOCH_DAYS;
    int64_t era = (since >= 0 ? since : since - (ERA_DAYS - 1)) / ERA_DAYS;
    int64_t day_of_era = since - era * ERA_DAYS;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    struct civil civil = {0};
    civil.day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    civil.month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    civil.year = era * 400 + year_of_era + (civil.month <= 2 ? 1 : 0);
    return civil;
}

static int64_t days_from_civil(const struct civil *civil)
{
    int64_t year = civil->year - (civil->month <= 2 ? 1 : 0);
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t month_from_march = civil->month > 2 ? civil->month - 3 : civil->month + 9;
    int64_t day_of_year = (153 * month_from_march + 2) / 5 + civil->day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * ERA_DAYS + day_of_era - EPOCH_DAYS;
}

static void put_digits(char *out, int64_t value, size_t digits)
{
    for (size_t i = digits; i > 0; i--) {
        out[i - 1] = (char)('0' + value % 10);
        value /= 10;
    }
}

static void skip_text(struct reader *reader, struct hark_slice text)
{
    reader->ok = reader->ok && hark_slice_starts(reader->rest, text);
    reader->rest = hark_slice_from(reader->rest, text.len);
}

static int64_t read_digits(struct reader *reader, size_t digits)
{
    int64_t value = 0;
    if (reader->rest.len < digits) {
        reader->ok = false;
    }
    for (size_t i = 0; i < digits && reader->ok; i++) {
        char c = reader->rest.ptr[i];
        reader->ok = c >= '0' && c <= '9';
        value = value * 10 + (c - '0');
    }
    reader->rest = hark_slice_from(reader->rest, digits);
    return value;
}

// Index of the three-letter name in `names`.
static int64_t read_name(struct reader *reader, const char *names, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        if (hark_slice_starts(reader->rest, hark_slice(names + i * 3, 3))) {
            reader->rest = hark_slice_from(reader->rest, 3);
            return i;
        }
    }
    reader->ok = false;
    return 0;
}

static void read_clock(struct reader *reader, struct civil *ret)
{
    ret->hour = read_digits(reader, 2);
    skip_text(reader, HARK_LIT(":"));
    ret->minute = read_digits(reader, 2);
    skip_text(reader, HARK_LIT(":"));
    ret->second = read_digits(reader, 2);
}

// Sun, 06 Nov 1994 08:49:37 GMT
static void read_fixed(struct reader *reader, struct civil *ret)
{
    (void)read_name(reader, DAYS, 7); // a weekday that does not fit the date harms nobody
    skip_text(reader, HARK_LIT(", "));
    ret->day = read_digits(reader, 2);
    skip_text(reader, HARK_LIT(" "));
    ret->month = read_name(reader, MONTHS, 12) + 1;
    skip_text(reader, HARK_LIT(" "));
    ret->year = read_digits(reader, 4);
    skip_text(reader, HARK_LIT(" "));
    read_clock(reader, ret);
    skip_text(reader, HARK_LIT(" GMT"));
}

// Sunday, 06-Nov-94 08:49:37 GMT
static void read_rfc850(struct reader *reader, int64_t now, struct civil *ret)
{
    (void)read_name(reader, DAYS, 7);
    (void)hark_slice_next(&reader->rest, ',');
    skip_text(reader, HARK_LIT(" "));
    ret->day = read_digits(reader, 2);
    skip_text(reader, HARK_LIT("-"));
    ret->month = read_name(reader, MONTHS, 12) + 1;
    skip_text(reader, HARK_LIT("-"));
    int64_t year = read_digits(reader, 2);
    int64_t this_year = civil_from_days(now / DAY_SECONDS).year;
    ret->year = this_year - this_year % 100 + year;
    ret->year -= ret->year > this_year + 50 ? 100 : 0;
    skip_text(reader, HARK_LIT(" "));
    read_clock(reader, ret);
    skip_text(reader, HARK_LIT(" GMT"));
}

// Sun Nov  6 08:49:37 1994
static void read_asctime(struct reader *reader, struct civil *ret)
{
    (void)read_name(reader, DAYS, 7);
    skip_text(reader, HARK_LIT(" "));
    ret->month = read_name(reader, MONTHS, 12) + 1;
    skip_text(reader, HARK_LIT(" "));
    if (hark_slice_starts(reader->rest, HARK_LIT(" "))) {
        reader->rest = hark_slice_from(reader->rest, 1);
        ret->day = read_digits(reader, 1);
    } else {
        ret->day = read_digits(reader, 2);
    }
    skip_text(reader, HARK_LIT(" "));
    read_clock(reader, ret);
    skip_text(reader, HARK_LIT(" "));
    ret->year = read_digits(reader, 4);
}

// The day exists in its month; second 60 is a leap second.
static bool is_sane(const struct civil *civil)
{
    if (civil->day < 1 || civil->hour > 23 || civil->minute > 59 || civil->second > 60) {
        return false;
    }
    struct civil again = civil_from_days(days_from_civil(civil));
    return again.day == civil->day && again.month == civil->month;
}

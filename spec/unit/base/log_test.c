// SPDX-License-Identifier: MIT
//
// The log line: its form, its levels, and that no value can forge a line or break out of its
// quotes.
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/attr.h"

static char output[1 << 20];
static int saved = -1;
static int capture = -1;

static void begin(void)
{
    char path[] = "/tmp/hark-log-XXXXXX";
    saved = dup(STDERR_FILENO);
    capture = mkstemp(path);
    assert_true(capture >= 0);
    assert_int_equal(unlink(path), 0);
    assert_true(dup2(capture, STDERR_FILENO) >= 0);
}

// What was logged since begin().
static size_t end(void)
{
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    ssize_t len = pread(capture, output, sizeof(output) - 1, 0);
    assert_true(len >= 0);
    output[len] = '\0';
    close(saved);
    close(capture);
    return (size_t)len;
}

// The line without its time, whose form is checked.
static const char *after_time(void)
{
    static const char form[] = "0000-00-00T00:00:00.000Z ";
    for (size_t i = 0; form[i] != '\0'; i++) {
        bool is_right =
            form[i] == '0' ? output[i] >= '0' && output[i] <= '9' : output[i] == form[i];
        assert_true(is_right);
    }
    return output + strlen(form);
}

static void check_value(struct hark_slice value, const char *written)
{
    char line[200];
    begin();
    HARK_LOG(HARK_LOG_WARN, "e", HARK_F_SLICE("v", value));
    (void)end();
    strcpy(line, "warn event=e v=");
    strcat(line, written);
    strcat(line, "\n");
    assert_string_equal(after_time(), line);
}

static void test_fields(void **state)
{
    (void)state;
    begin();
    errno = ENOSPC;
    HARK_LOG(HARK_LOG_INFO, "reload", HARK_F_TEXT("app", "chat"), HARK_F_UINT("n", UINT64_MAX),
             HARK_F_INT("i", INT64_MIN), HARK_F_TEXT("none", NULL));
    assert_int_equal(errno, ENOSPC);
    (void)end();
    assert_string_equal(after_time(), "info event=reload app=chat n=18446744073709551615 "
                                      "i=-9223372036854775808 none=\"\"\n");
}

static void test_values(void **state)
{
    (void)state;
    check_value(HARK_LIT("plain/1.2:3"), "plain/1.2:3");
    check_value(HARK_LIT("two words"), "\"two words\"");
    check_value(HARK_LIT("a=b"), "\"a=b\"");
    check_value(HARK_LIT("say \"hi\""), "\"say \\\"hi\\\"\"");
    check_value(HARK_LIT("back\\slash"), "\"back\\\\slash\"");
    check_value(HARK_LIT("\xC3\xA9\xE2\x82\xAC"), "\"\xC3\xA9\xE2\x82\xAC\"");
}

static void test_values_cannot_forge(void **state)
{
    (void)state;
    check_value(HARK_LIT("x\n2026-01-01T00:00:00.000Z error event=forged"),
                "\"x\\n2026-01-01T00:00:00.000Z error event=forged\"");
    check_value(HARK_LIT("\r\t"), "\"\\r\\t\"");
    check_value(hark_slice("a\0b", 3), "\"a\\u0000b\"");
    check_value(HARK_LIT("\x1B[31m\x7F"), "\"\\u001b[31m\\u007f\"");
    check_value(HARK_LIT("\xC2\x9B"
                         "31m"),
                "\"\\u009b31m\""); // CSI as one C1 control
    check_value(HARK_LIT("\xFFz\xE2\x82"), "\"\xEF\xBF\xBDz\xEF\xBF\xBD\"");
}

static void test_too_long(void **state)
{
    (void)state;
    static char big[20000];
    static const char *const fillers[] = {"a", "\n", "\x01", "\xE2\x82\xAC", "\""};
    for (size_t i = 0; i < HARK_ARRAY_LEN(fillers); i++) {
        size_t filler = strlen(fillers[i]);
        for (size_t k = 0; k + filler <= sizeof(big); k += filler) {
            memcpy(big + k, fillers[i], filler);
        }
        // Every length near the limit, so that each kind of character is the one that does not fit.
        for (size_t len = 7800 / filler * filler; len < 8400; len += filler) {
            begin();
            HARK_LOG(HARK_LOG_ERROR, "long", HARK_F_SLICE("v", hark_slice(big, len)),
                     HARK_F_INT("after", 1));
            size_t written = end();
            static const char truncated[] = "\" truncated=true\n";
            static const char whole[] = " after=1\n";
            const char *line = after_time();
            assert_true(written <= 8192);
            assert_ptr_equal(strchr(line, '\n'), output + written - 1);
            bool is_whole = strcmp(output + written - strlen(whole), whole) == 0;
            bool is_truncated =
                strcmp(output + written - strlen(truncated), truncated) == 0 ||
                strcmp(output + written - strlen(truncated) + 1, truncated + 1) == 0;
            assert_true(is_whole != is_truncated);
        }
        begin();
        HARK_LOG(HARK_LOG_ERROR, "long", HARK_F_SLICE("v", hark_slice(big, 19998)));
        assert_true(end() > 8000);
    }
}

static void test_levels(void **state)
{
    (void)state;
    begin();
    HARK_LOG(HARK_LOG_DEBUG, "hidden", HARK_F_INT("x", 1));
    hark_log_set_level(HARK_LOG_ERROR);
    HARK_LOG(HARK_LOG_WARN, "hidden", HARK_F_INT("x", 1));
    assert_false(hark_log_is_on(HARK_LOG_WARN));
    hark_log_set_level(HARK_LOG_DEBUG);
    HARK_LOG(HARK_LOG_DEBUG, "shown", HARK_F_INT("x", 1));
    hark_log_set_level(HARK_LOG_INFO);
    (void)end();
    assert_string_equal(after_time(), "debug event=shown x=1\n");

    enum hark_log_level level = HARK_LOG_INFO;
    assert_true(hark_log_parse_level(HARK_LIT("Error"), &level));
    assert_int_equal(level, HARK_LOG_ERROR);
    assert_true(hark_log_parse_level(HARK_LIT("debug"), &level));
    assert_int_equal(level, HARK_LOG_DEBUG);
    assert_false(hark_log_parse_level(HARK_LIT("verbose"), &level));
    assert_false(hark_log_parse_level(HARK_SLICE_NONE, &level));
    assert_int_equal(level, HARK_LOG_DEBUG);
}

static void *log_much(void *arg)
{
    const char *name = arg;
    for (int i = 0; i < 500; i++) {
        HARK_LOG(HARK_LOG_INFO, name, HARK_F_INT("line", i));
    }
    return NULL;
}

static void test_lines_of_threads_do_not_mix(void **state)
{
    (void)state;
    static const char *const names[] = {"aaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbb",
                                        "cccccccccccccccccccc"};
    pthread_t threads[HARK_ARRAY_LEN(names)];
    // Lines in a pipe or a file opened for appending stay whole; a file by offset is not the case.
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    saved = dup(STDERR_FILENO);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    close(ends[1]);
    for (size_t i = 0; i < HARK_ARRAY_LEN(names); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, log_much, (void *)(uintptr_t)names[i]),
                         0);
    }
    size_t len = 0;
    size_t lines = 0;
    while (lines < 1500) {
        ssize_t n = read(ends[0], output + len, sizeof(output) - 1 - len);
        assert_true(n > 0);
        for (ssize_t i = 0; i < n; i++) {
            lines += output[len + (size_t)i] == '\n';
        }
        len += (size_t)n;
    }
    for (size_t i = 0; i < HARK_ARRAY_LEN(names); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    close(saved);
    close(ends[0]);
    output[len] = '\0';
    int next[HARK_ARRAY_LEN(names)] = {0};
    for (char *line = strtok(output, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        const char *event = strstr(line, " info event=");
        assert_non_null(event);
        size_t who = (size_t)(event[12] - 'a');
        assert_true(who < HARK_ARRAY_LEN(names));
        assert_memory_equal(event + 12, names[who], 20);
        assert_int_equal(atoi(event + 12 + 20 + 6), next[who]); // " line="
        next[who]++;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_values_cannot_forge),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_lines_of_threads_do_not_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

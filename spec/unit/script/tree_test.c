// SPDX-License-Identifier: MIT
//
// script/tree on real directories below a temporary one.
#include "script/tree.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "hark.h"

static char root[64];

static void make(const char *path, const char *text, size_t len)
{
    char full[256];
    snprintf(full, sizeof(full), "%s/%s", root, path);
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    fclose(file);
}

static void folder(const char *path)
{
    char full[256];
    snprintf(full, sizeof(full), "%s/%s", root, path);
    assert_int_equal(mkdir(full, 0700), 0);
}

static int set_up(void **state)
{
    (void)state;
    strcpy(root, "/tmp/hark-tree-XXXXXX");
    return mkdtemp(root) == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", root);
    return system(command);
}

static int look(struct hark_tree *tree, char *why, size_t size)
{
    struct hark_buf text;
    hark_buf_init(&text, 4096);
    int status = hark_tree_read(root, tree, &text);
    struct hark_slice said = hark_buf_slice(&text);
    snprintf(why, size, "%.*s", (int)said.len, said.ptr == NULL ? "" : said.ptr);
    hark_buf_deinit(&text);
    return status;
}

static void reads_lua_files_sorted(void **state)
{
    (void)state;
    make("b.lua", "two", 3);
    make("a.lua", "", 0);
    folder("app");
    make("app/init.lua", "x\0y", 3);
    make("notes.txt", "no", 2);
    struct hark_tree tree;
    char why[256];
    assert_int_equal(look(&tree, why, sizeof(why)), 0);
    assert_int_equal(tree.count, 3);
    assert_string_equal(tree.files[0].path, "a.lua");
    assert_int_equal(tree.files[0].len, 0);
    assert_string_equal(tree.files[1].path, "app/init.lua");
    assert_memory_equal(tree.files[1].data, "x\0y", 3);
    assert_string_equal(tree.files[2].path, "b.lua");
    hark_tree_deinit(&tree);
}

static void leaves_out_what_editors_and_deployers_leave(void **state)
{
    (void)state;
    static const char *const NAMES[] = {".hidden.lua", "#a.lua#",   "a.lua~",
                                        "a.lua.swp",   "x.lua.tmp", "y.bak"};
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        make(NAMES[i], "x", 1);
    }
    folder(".git");
    make(".git/config.lua", "x", 1);
    folder("public");
    make("public/page.lua", "x", 1);
    folder("spec");
    make("spec/a_spec.lua", "x", 1);
    make("real.lua", "x", 1);
    struct hark_tree tree;
    char why[256];
    assert_int_equal(look(&tree, why, sizeof(why)), 0);
    assert_int_equal(tree.count, 1);
    assert_string_equal(tree.files[0].path, "real.lua");
    hark_tree_deinit(&tree);
}

static void follows_links_as_kubernetes_makes_them(void **state)
{
    (void)state;
    folder("..2026");
    make("..2026/chat.lua", "one", 3);
    char from[256];
    snprintf(from, sizeof(from), "%s/..data", root);
    assert_int_equal(symlink("..2026", from), 0);
    snprintf(from, sizeof(from), "%s/chat.lua", root);
    assert_int_equal(symlink("..data/chat.lua", from), 0);
    struct hark_tree tree;
    char why[256];
    assert_int_equal(look(&tree, why, sizeof(why)), 0);
    assert_int_equal(tree.count, 1);
    assert_string_equal(tree.files[0].path, "chat.lua");
    assert_memory_equal(tree.files[0].data, "one", 3);
    hark_tree_deinit(&tree);
}

static void refuses_a_file_over_the_limit_by_name(void **state)
{
    (void)state;
    char *big = calloc(1, HARK_TREE_FILE_MAX + 1);
    make("big.lua", big, HARK_TREE_FILE_MAX + 1);
    free(big);
    struct hark_tree tree;
    char why[256];
    assert_int_equal(look(&tree, why, sizeof(why)), HARK_ETOOBIG);
    assert_string_equal(why, "big.lua: file is larger than 1 MiB");
}

static void refuses_a_loop_of_links(void **state)
{
    (void)state;
    char from[256];
    snprintf(from, sizeof(from), "%s/loop", root);
    assert_int_equal(symlink(".", from), 0);
    struct hark_tree tree;
    char why[256];
    assert_int_equal(look(&tree, why, sizeof(why)), HARK_ETOOBIG);
    assert_non_null(strstr(why, "nested too deeply"));
}

static void *look_in_thread(void *tree)
{
    struct hark_buf why;
    hark_buf_init(&why, 4096);
    int status = hark_tree_read(root, tree, &why);
    hark_buf_deinit(&why);
    return status == 0 ? tree : NULL;
}

// A checkout holds the lock from before the look until after its last write.
static void waits_for_a_checkout(void **state)
{
    (void)state;
    make("a.lua", "old", 3);
    folder(".git");
    make(".git/index.lock", "", 0);
    struct hark_tree tree;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, look_in_thread, &tree), 0);
    make("a.lua", "new", 3);
    make("b.lua", "too", 3);
    char lock[128];
    snprintf(lock, sizeof(lock), "%s/.git/index.lock", root);
    assert_int_equal(unlink(lock), 0);
    void *done = NULL;
    assert_int_equal(pthread_join(thread, &done), 0);
    assert_non_null(done);
    assert_int_equal(tree.count, 2);
    assert_memory_equal(tree.files[0].data, "new", 3);
    hark_tree_deinit(&tree);
}

static void says_that_a_directory_is_missing(void **state)
{
    (void)state;
    struct hark_tree tree;
    struct hark_buf why;
    hark_buf_init(&why, 256);
    assert_int_equal(hark_tree_read("/nowhere/at/all", &tree, &why), HARK_ENOENT);
    assert_true(hark_buf_len(&why) > 0);
    hark_buf_deinit(&why);
}

static void survives_every_failed_allocation(void **state)
{
    (void)state;
    make("a.lua", "x", 1);
    folder("f");
    make("f/b.lua", "y", 1);
    int status = HARK_ENOMEM;
    for (size_t n = 0; status != 0; n++) {
        struct hark_tree tree;
        hark_mem_fail_after(n);
        status = hark_tree_read(root, &tree, NULL);
        hark_mem_fail_after(SIZE_MAX);
        assert_true(status == 0 || status == HARK_ENOMEM);
        assert_true(n < 100);
        if (status == 0) {
            hark_tree_deinit(&tree);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_lua_files_sorted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(leaves_out_what_editors_and_deployers_leave, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(follows_links_as_kubernetes_makes_them, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_a_file_over_the_limit_by_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_a_loop_of_links, set_up, tear_down),
        cmocka_unit_test_setup_teardown(waits_for_a_checkout, set_up, tear_down),
        cmocka_unit_test(says_that_a_directory_is_missing),
        cmocka_unit_test_setup_teardown(survives_every_failed_allocation, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

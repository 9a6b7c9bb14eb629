// SPDX-License-Identifier: MIT
//
// The directory watch: every way in which editors, deployments and people change files is told. The
// poll is set to an hour, so a look can come from an event alone; one test is of the poll itself.
#include "io/watch.h"

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "io/support.h"

#define HOUR_MS 3600000

struct scene {
    struct world *world;
    struct hark_watch *watch;
    int looks;
    bool is_closing; // close the watch at the next look
    char root[64];   // a fresh directory, around what is watched
};

static void on_look(void *ctx)
{
    struct scene *scene = ctx;
    scene->looks++;
    if (scene->is_closing) {
        hark_watch_close(scene->watch);
        scene->watch = NULL;
    }
}

// A path inside the scene; valid until the fourth call after it.
static const char *at(const struct scene *scene, const char *name)
{
    static char paths[4][PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, PATH_MAX, "%s/%s", scene->root, name);
    return path;
}

static void make_dir(const struct scene *scene, const char *name)
{
    assert_int_equal(mkdir(at(scene, name), 0700), 0);
}

static void put(const struct scene *scene, const char *name, const char *text)
{
    FILE *file = fopen(at(scene, name), "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void make_link(const struct scene *scene, const char *target, const char *name)
{
    assert_int_equal(symlink(target, at(scene, name)), 0);
}

static void move(const struct scene *scene, const char *from, const char *to)
{
    assert_int_equal(rename(at(scene, from), at(scene, to)), 0);
}

static int remove_one(const char *path, const struct stat *file, int type, struct FTW *place)
{
    (void)file;
    (void)type;
    (void)place;
    return remove(path);
}

static void remove_tree(const char *path)
{
    assert_int_equal(nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static void begin(struct scene *scene)
{
    *scene = (struct scene){.world = world_new()};
    strcpy(scene->root, "/tmp/hark-watch-XXXXXX");
    assert_non_null(mkdtemp(scene->root));
}

static void watch_with(struct scene *scene, const char *name, struct hark_watch_options options)
{
    struct hark_slice directory = hark_slice_text(at(scene, name));
    assert_int_equal(
        hark_watch_open(scene->world->loop, directory, &options, on_look, scene, &scene->watch), 0);
}

static void watch(struct scene *scene, const char *name)
{
    watch_with(scene, name,
               (struct hark_watch_options){.quiet_ms = 10, .max_ms = 1000, .poll_ms = HOUR_MS});
}

static void end(struct scene *scene)
{
    hark_watch_close(scene->watch);
    world_free(scene->world);
    remove_tree(scene->root);
}

// What was done is told by at least one look.
static void wait_look(struct scene *scene)
{
    int looks = scene->looks;
    while (scene->looks == looks) {
        tick(scene->world);
    }
    // Let what belongs to the same change settle, so that the next wait is for the next change.
    struct hark_wheel *wheel = hark_loop_wheel(scene->world->loop);
    settle(scene->world);
    while (hark_wheel_next(wheel, hark_loop_now_ms(scene->world->loop)) < 2000) {
        tick(scene->world);
    }
}

static void test_files(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    make_dir(&scene, "scripts");
    watch(&scene, "scripts");
    settle(scene.world);
    assert_int_equal(scene.looks, 0);
    put(&scene, "scripts/chat.lua", "return 1");
    wait_look(&scene);
    put(&scene, "scripts/chat.lua", "return 2");
    wait_look(&scene);
    assert_int_equal(unlink(at(&scene, "scripts/chat.lua")), 0);
    wait_look(&scene);
    end(&scene);
}

static void test_atomic_rename(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    make_dir(&scene, "scripts");
    put(&scene, "scripts/chat.lua", "return 1");
    watch(&scene, "scripts");
    for (int i = 0; i < 3; i++) { // an inotify watch on the file would be deaf after the first
        put(&scene, "new", "return 2");
        move(&scene, "new", "scripts/chat.lua");
        wait_look(&scene);
    }
    end(&scene);
}

static void test_directories_below(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    make_dir(&scene, "scripts");
    make_dir(&scene, "scripts/a");
    make_dir(&scene, "scripts/a/b");
    watch(&scene, "scripts");
    put(&scene, "scripts/a/b/deep.lua", "");
    wait_look(&scene);
    make_dir(&scene, "scripts/new");
    wait_look(&scene);
    put(&scene, "scripts/new/x.lua", "");
    wait_look(&scene);
    move(&scene, "scripts/new", "scripts/a/moved");
    wait_look(&scene);
    put(&scene, "scripts/a/moved/x.lua", "changed");
    wait_look(&scene);
    end(&scene);
}

static void test_removed_and_made_again(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    make_dir(&scene, "scripts");
    make_dir(&scene, "scripts/sub");
    put(&scene, "scripts/sub/x.lua", "");
    watch(&scene, "scripts");
    for (int i = 0; i < 2; i++) {
        remove_tree(at(&scene, "scripts/sub"));
        make_dir(&scene, "scripts/sub");
        wait_look(&scene);
        put(&scene, "scripts/sub/x.lua", "again");
        wait_look(&scene);
    }
    for (int i = 0; i < 2; i++) { // the root itself
        remove_tree(at(&scene, "scripts"));
        wait_look(&scene);
        make_dir(&scene, "scripts");
        wait_look(&scene);
        put(&scene, "scripts/y.lua", "");
        wait_look(&scene);
    }
    end(&scene);
}

static void test_root_replaced_by_rename(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    make_dir(&scene, "scripts");
    watch(&scene, "scripts");
    make_dir(&scene, "next");
    move(&scene, "scripts", "old");
    move(&scene, "next", "scripts");
    wait_look(&scene);
    put(&scene, "scripts/x.lua", "");
    wait_look(&scene);
    end(&scene);
}

// releases/1, releases/2, current -> releases/N, swapped by rename over the link.
static void test_root_is_a_swapped_link(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    make_dir(&scene, "releases");
    make_dir(&scene, "releases/1");
    make_dir(&scene, "releases/2");
    make_link(&scene, "releases/1", "current");
    watch(&scene, "current");
    put(&scene, "releases/1/x.lua", "");
    wait_look(&scene);
    make_link(&scene, "releases/2", "next");
    move(&scene, "next", "current");
    wait_look(&scene);
    put(&scene, "releases/2/x.lua", "");
    wait_look(&scene);
    // The old release is of no interest any more.
    int looks = scene.looks;
    put(&scene, "releases/1/x.lua", "old");
    settle(scene.world);
    put(&scene, "releases/2/x.lua", "new");
    wait_look(&scene);
    assert_int_equal(scene.looks, looks + 1);
    end(&scene);
}

// A link in the middle of the path to the root.
static void test_link_on_the_way(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    make_dir(&scene, "v1");
    make_dir(&scene, "v1/scripts");
    make_dir(&scene, "v2");
    make_dir(&scene, "v2/scripts");
    make_link(&scene, at(&scene, "v1"), "current"); // absolute
    watch(&scene, "current/scripts");
    make_link(&scene, "v2", "next");
    move(&scene, "next", "current");
    wait_look(&scene);
    put(&scene, "v2/scripts/x.lua", "");
    wait_look(&scene);
    end(&scene);
}

// As Kubernetes mounts a ConfigMap: name -> ..data/name, ..data -> a dated directory.
static void test_links_as_of_a_config_map(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    make_dir(&scene, "scripts");
    make_dir(&scene, "scripts/..1");
    put(&scene, "scripts/..1/chat.lua", "1");
    make_link(&scene, "..1", "scripts/..data");
    make_link(&scene, "..data/chat.lua", "scripts/chat.lua");
    watch(&scene, "scripts");
    for (int i = 2; i < 4; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "scripts/..%d", i);
        make_dir(&scene, name);
        (void)snprintf(name, sizeof(name), "scripts/..%d/chat.lua", i);
        put(&scene, name, "2");
        (void)snprintf(name, sizeof(name), "..%d", i);
        make_link(&scene, name, "scripts/..tmp");
        move(&scene, "scripts/..tmp", "scripts/..data");
        wait_look(&scene);
    }
    end(&scene);
}

static void test_linked_file_elsewhere(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    make_dir(&scene, "scripts");
    make_dir(&scene, "shared");
    make_dir(&scene, "shared/deep");
    put(&scene, "shared/deep/real.lua", "1");
    make_link(&scene, "deep/real.lua", "shared/link.lua");
    make_link(&scene, "../shared/link.lua", "scripts/chat.lua");
    watch(&scene, "scripts");
    put(&scene, "shared/deep/real.lua", "2");
    wait_look(&scene);
    put(&scene, "shared/deep/other.lua", "");
    make_link(&scene, "deep/other.lua", "shared/next");
    move(&scene, "shared/next", "shared/link.lua");
    wait_look(&scene);
    put(&scene, "shared/deep/other.lua", "3");
    wait_look(&scene);
    // A neighbour of the file is of no interest.
    int looks = scene.looks;
    put(&scene, "shared/deep/neighbour", "");
    settle(scene.world);
    put(&scene, "scripts/x.lua", "");
    wait_look(&scene);
    assert_int_equal(scene.looks, looks + 1);
    end(&scene);
}

static void test_linked_directory_and_circle(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    make_dir(&scene, "scripts");
    make_dir(&scene, "lib");
    make_link(&scene, "../lib", "scripts/lib");
    make_link(&scene, "../scripts", "lib/back"); // a circle
    make_link(&scene, "loop", "scripts/loop");   // and one that leads nowhere
    watch(&scene, "scripts");
    put(&scene, "lib/util.lua", "");
    wait_look(&scene);
    end(&scene);
}

static void test_broken_link_that_is_mended(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    make_dir(&scene, "scripts");
    make_link(&scene, "../later/chat.lua", "scripts/chat.lua");
    watch(&scene, "scripts");
    make_dir(&scene, "later");
    wait_look(&scene);
    put(&scene, "later/chat.lua", "");
    wait_look(&scene);
    end(&scene);
}

static void test_root_that_does_not_exist_yet(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    watch(&scene, "scripts");
    make_dir(&scene, "scripts");
    wait_look(&scene);
    put(&scene, "scripts/x.lua", "");
    wait_look(&scene);
    end(&scene);
}

static void test_relative_path(void **state)
{
    (void)state;
    struct scene scene;
    char before[PATH_MAX];
    struct hark_watch_options options = {.quiet_ms = 10, .max_ms = 1000, .poll_ms = HOUR_MS};
    begin(&scene);
    make_dir(&scene, "scripts");
    assert_non_null(getcwd(before, sizeof(before)));
    assert_int_equal(chdir(scene.root), 0);
    assert_int_equal(hark_watch_open(scene.world->loop, HARK_LIT("./scripts/../scripts/"), &options,
                                     on_look, &scene, &scene.watch),
                     0);
    assert_int_equal(chdir(before), 0);
    put(&scene, "scripts/x.lua", "");
    wait_look(&scene);
    end(&scene);
}

// Many changes, one look; and changes that never stop are looked at all the same.
static void test_debounce(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    make_dir(&scene, "scripts");
    watch_with(&scene, "scripts",
               (struct hark_watch_options){.quiet_ms = HOUR_MS, .max_ms = 50, .poll_ms = HOUR_MS});
    while (scene.looks == 0) {
        put(&scene, "scripts/x.lua", "again and again");
        assert_int_equal(hark_loop_step(scene.world->loop, 1), 0);
        assert_true(hark_loop_clock_ns() < scene.world->deadline_ns);
    }
    end(&scene);

    begin(&scene);
    make_dir(&scene, "scripts");
    watch_with(&scene, "scripts",
               (struct hark_watch_options){.quiet_ms = 30, .max_ms = HOUR_MS, .poll_ms = HOUR_MS});
    for (int i = 0; i < 20; i++) {
        put(&scene, "scripts/x.lua", "one change of many");
        settle(scene.world);
    }
    wait_look(&scene);
    settle(scene.world);
    assert_in_range(scene.looks, 1, 19);
    end(&scene);
}

static void test_poll(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    make_dir(&scene, "scripts");
    watch_with(&scene, "scripts",
               (struct hark_watch_options){.quiet_ms = 10, .max_ms = 100, .poll_ms = 20});
    while (scene.looks < 3) {
        tick(scene.world); // nothing happens at all
    }
    end(&scene);
}

static void test_closed_is_silent(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    make_dir(&scene, "scripts");
    watch(&scene, "scripts");
    scene.is_closing = true;
    put(&scene, "scripts/x.lua", "");
    while (scene.looks == 0) {
        tick(scene.world);
    }
    put(&scene, "scripts/y.lua", "");
    settle(scene.world);
    assert_int_equal(scene.looks, 1);
    assert_null(scene.watch);
    watch(&scene, "scripts");
    put(&scene, "scripts/z.lua", "");
    hark_watch_close(scene.watch); // with an event on the way
    scene.watch = NULL;
    settle(scene.world);
    assert_int_equal(scene.looks, 1);
    end(&scene);
}

static void test_bad_names(void **state)
{
    (void)state;
    struct scene scene;
    char name[PATH_MAX + 1];
    struct hark_watch_options options = {.quiet_ms = 10, .max_ms = 1000, .poll_ms = HOUR_MS};
    struct hark_loop *loop = NULL;
    begin(&scene);
    loop = scene.world->loop;
    memset(name, 'x', sizeof(name));
    name[0] = '/';
    assert_int_equal(
        hark_watch_open(loop, HARK_SLICE_NONE, &options, on_look, &scene, &scene.watch),
        HARK_EINVAL);
    assert_int_equal(hark_watch_open(loop, hark_slice(name, sizeof(name)), &options, on_look,
                                     &scene, &scene.watch),
                     HARK_EINVAL);
    assert_int_equal(
        hark_watch_open(loop, hark_slice("/tmp\0", 5), &options, on_look, &scene, &scene.watch),
        HARK_EINVAL);
    assert_null(scene.watch);
    end(&scene);
}

// Whatever cannot be allocated: no crash, and the poll still looks.
static void test_no_memory(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    make_dir(&scene, "scripts");
    make_dir(&scene, "scripts/sub");
    make_link(&scene, "sub", "scripts/link");
    struct hark_watch_options options = {.quiet_ms = 10, .max_ms = 100, .poll_ms = 10};
    int refused = 0;
    for (size_t n = 0; n < 25; n++) {
        hark_mem_fail_after(n);
        int status = hark_watch_open(scene.world->loop, hark_slice_text(at(&scene, "scripts")),
                                     &options, on_look, &scene, &scene.watch);
        assert_true(status == 0 || status == HARK_ENOMEM);
        int looks = scene.looks;
        while (status == 0 && scene.looks == looks) {
            tick(scene.world);
        }
        hark_mem_fail_after(SIZE_MAX);
        refused += status != 0;
        hark_watch_close(scene.watch);
        scene.watch = NULL;
        settle(scene.world);
    }
    assert_int_equal(refused, 2);
    end(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_atomic_rename),
        cmocka_unit_test(test_directories_below),
        cmocka_unit_test(test_removed_and_made_again),
        cmocka_unit_test(test_root_replaced_by_rename),
        cmocka_unit_test(test_root_is_a_swapped_link),
        cmocka_unit_test(test_link_on_the_way),
        cmocka_unit_test(test_links_as_of_a_config_map),
        cmocka_unit_test(test_linked_file_elsewhere),
        cmocka_unit_test(test_linked_directory_and_circle),
        cmocka_unit_test(test_broken_link_that_is_mended),
        cmocka_unit_test(test_root_that_does_not_exist_yet),
        cmocka_unit_test(test_relative_path),
        cmocka_unit_test(test_debounce),
        cmocka_unit_test(test_poll),
        cmocka_unit_test(test_closed_is_silent),
        cmocka_unit_test(test_bad_names),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

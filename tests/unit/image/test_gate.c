/* label: quick
 * The gate: what names inside images may open, and how refusals read. */
#include "gate.h"

#include "bytes.h"
#include "mem.h"
#include "test.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct err e;
static char root[600]; /* the real path of the test's folder */

/* root/vm/disk.vmdk is the image that names others:
 *
 *     vm/disk.vmdk vm/base.vmdk vm/sub/deep.vmdk vm/only-here.vmdk vm/folder/ vm/fifo
 *     vm/out-link -> ../other/secret.img    vm/in-link -> sub/deep.vmdk
 *     vm/out-dir -> ../other                vm/loop -> loop        vm/null -> /dev/null
 *     vm/secret.vmdk -> ../other/secret.img
 *     vm2/near.img                          (its name begins as vm's does)
 *     other/secret.img other/moved/base.vmdk other/only-here.vmdk
 *     link-to-vm -> vm
 */
static void put(const char *name)
{
    char path[700];
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", root, name);
    f = fopen(path, "w");
    assert_non_null(f);
    fputs(name, f);
    fclose(f);
}

static void folder(const char *name)
{
    char path[700];

    snprintf(path, sizeof(path), "%s/%s", root, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static void point(const char *name, const char *to)
{
    char path[700];

    snprintf(path, sizeof(path), "%s/%s", root, name);
    assert_int_equal(symlink(to, path), 0);
}

static int setup(void **state)
{
    static const char *const folders[] = {"vm",  "vm/sub", "vm/folder",
                                          "vm2", "other",  "other/moved"},
                             *const files[] = {"vm/disk.vmdk",         "vm/base.vmdk",
                                               "vm/sub/deep.vmdk",     "vm/only-here.vmdk",
                                               "vm2/near.img",         "other/secret.img",
                                               "other/only-here.vmdk", "other/moved/base.vmdk"};
    char path[700];

    (void)state;
    assert_non_null(realpath(test_dir(), root));
    for (size_t i = 0; i < ARRAY_LEN(folders); i++)
        folder(folders[i]);
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        put(files[i]);
    point("vm/out-link", "../other/secret.img");
    point("vm/secret.vmdk", "../other/secret.img");
    point("vm/in-link", "sub/deep.vmdk");
    point("vm/out-dir", "../other");
    point("vm/loop", "loop");
    point("vm/null", "/dev/null");
    point("link-to-vm", "vm");
    snprintf(path, sizeof(path), "%s/vm/fifo", root);
    assert_int_equal(mkfifo(path, 0600), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_rmdir();
    return 0;
}

/* One name, and what opens (below root) or how the refusal reads. '@' stands for root. */
struct row {
    const char *name, *allow, *map_from, *map_to;
    const char *opens;
    enum err_kind kind;
    const char *words;
};

static const struct row rows[] = {
    {.name = "base.vmdk", .opens = "vm/base.vmdk"},
    {.name = "./base.vmdk", .opens = "vm/base.vmdk"},
    {.name = "sub/deep.vmdk", .opens = "vm/sub/deep.vmdk"},
    {.name = "sub/../base.vmdk", .opens = "vm/base.vmdk"},
    {.name = "../vm/base.vmdk", .opens = "vm/base.vmdk"},
    {.name = "in-link", .opens = "vm/sub/deep.vmdk"},
    {.name = "@/vm/base.vmdk", .opens = "vm/base.vmdk"},
    {.name = "@/link-to-vm/base.vmdk", .opens = "vm/base.vmdk"},
    /* outside */
    {.name = "../other/secret.img",
     .kind = ERR_GATE,
     .words = "'../other/secret.img', named by '@/vm/disk.vmdk', is '@/other/secret.img', which "
              "lies outside '@/vm'; to allow it add this to the job file: allow: [@/other] (on the "
              "command line: --allow @/other)"},
    {.name = "@/other/secret.img",
     .kind = ERR_GATE,
     .words = "'@/other/secret.img', named by '@/vm/disk.vmdk', lies outside '@/vm'; to allow it"},
    {.name = "/etc/passwd", .kind = ERR_GATE, .words = "allow: [/etc] (on the command"},
    {.name = "out-link", .kind = ERR_GATE, .words = "is '@/other/secret.img', which lies outside"},
    {.name = "out-dir/secret.img", .kind = ERR_GATE, .words = "lies outside"},
    {.name = "../vm2/near.img", .kind = ERR_GATE, .words = "lies outside"},
    {.name = "null", .kind = ERR_GATE, .words = "lies outside"},
    {.name = "..", .kind = ERR_GATE, .words = "lies outside"},
    {.name = "../../../../../../../../../../../../etc/passwd",
     .kind = ERR_GATE,
     .words = "is '/etc/passwd', which lies outside"},
    {.name = "/proc/self/root/etc/passwd", .kind = ERR_GATE, .words = "lies outside"},
    {.name = "/dev/stdin", .kind = ERR_GATE, .words = "outside"},
    /* allowed */
    {.name = "../other/secret.img", .allow = "@/other", .opens = "other/secret.img"},
    {.name = "@/other/secret.img", .allow = "@/other/", .opens = "other/secret.img"},
    {.name = "out-link", .allow = "@/vm/out-dir", .opens = "other/secret.img"},
    {.name = "../vm2/near.img", .allow = "@/other", .kind = ERR_GATE, .words = "outside"},
    {.name = "/etc/passwd", .allow = "/", .opens = "/etc/passwd"},
    /* absolute names of another machine are looked for beside the image */
    {.name = "/vmfs/volumes/x/base.vmdk", .opens = "vm/base.vmdk"},
    {.name = "@/other/only-here.vmdk", .opens = "vm/only-here.vmdk"},
    {.name = "C:/VMs/base.vmdk", .opens = "vm/base.vmdk"},
    {.name = "C:\\VMs\\base.vmdk", .opens = "vm/base.vmdk"},
    {.name = "/vmfs/volumes/x/secret.vmdk", .kind = ERR_GATE, .words = "is '@/other/secret.img'"},
    {.name = "/vmfs/none.vmdk",
     .kind = ERR_FORMAT,
     .words = "missing '/vmfs/none.vmdk', which '@/vm/disk.vmdk' names; it was looked for as "
              "'/vmfs/none.vmdk' and '@/vm/none.vmdk'"},
    {.name = "/vmfs/..", .kind = ERR_FORMAT, .words = "missing"},
    /* path_map */
    {.name = "/vmfs/a/base.vmdk",
     .map_from = "/vmfs",
     .map_to = "@/vm/folder/..",
     .kind = ERR_FORMAT,
     .words = NULL,
     .opens = "vm/base.vmdk"},
    {.name = "/vmfs/moved/base.vmdk",
     .map_from = "/vmfs",
     .map_to = "@/other",
     .allow = "@/other",
     .opens = "other/moved/base.vmdk"},
    {.name = "/vmfs/moved/base.vmdk",
     .map_from = "/vmfs/",
     .map_to = "@/other/",
     .allow = "@/other",
     .opens = "other/moved/base.vmdk"},
    {.name = "/vmfs/moved/base.vmdk",
     .map_from = "/vmfs/moved/base.vmdk",
     .map_to = "@/vm/sub/deep.vmdk",
     .opens = "vm/sub/deep.vmdk"},
    {.name = "/vmfs-old/base.vmdk",
     .map_from = "/vmfs",
     .map_to = "@/other",
     .allow = "@/other",
     .opens = "vm/base.vmdk"},
    {.name = "/vmfs/secret.img",
     .map_from = "/vmfs",
     .map_to = "@/other",
     .kind = ERR_GATE,
     .words = "'/vmfs/secret.img', named by '@/vm/disk.vmdk', is '@/other/secret.img', which"},
    {.name = "C:/VMs/deep.vmdk",
     .map_from = "C:/VMs",
     .map_to = "@/vm/sub",
     .opens = "vm/sub/deep.vmdk"},
    {.name = "nbd://host/moved/base.vmdk",
     .map_from = "nbd://host",
     .map_to = "@/other",
     .allow = "@/other",
     .opens = "other/moved/base.vmdk"},
    /* not names of files */
    {.name = "nbd://localhost/x", .kind = ERR_GATE, .words = "is not the name of a file"},
    {.name = "json:{\"driver\":\"file\"}", .kind = ERR_GATE, .words = "is not the name of a file"},
    {.name = "file:base.vmdk", .kind = ERR_GATE, .words = "is not the name of a file"},
    {.name = "nbd:unix:/x", .kind = ERR_GATE, .words = "is not the name of a file"},
    {.name = "", .kind = ERR_FORMAT, .words = "empty name"},
    {.name = "fo\x1b[31mo", .kind = ERR_FORMAT, .words = "'fo?[31mo'"},
    /* not images */
    {.name = "none.vmdk",
     .kind = ERR_FORMAT,
     .words = "missing 'none.vmdk', which '@/vm/disk.vmdk' names; it was looked for as "
              "'@/vm/none.vmdk'"},
    {.name = "base.vmdk/x", .kind = ERR_FORMAT, .words = "missing"},
    {.name = "loop", .kind = ERR_FORMAT, .words = "symbolic links"},
    {.name = "folder", .kind = ERR_FORMAT, .words = "is a directory, not an image"},
    {.name = ".", .kind = ERR_FORMAT, .words = "is a directory, not an image"},
    {.name = "fifo", .kind = ERR_FORMAT, .words = "neither a file nor a block device"},
    {.name = "null", .allow = "/dev", .kind = ERR_FORMAT, .words = "neither a file"},
};

/* `text` with '@' replaced; in one of a few static buffers. */
static const char *full(const char *text)
{
    static char bufs[8][2000];
    static unsigned next;
    char *out = bufs[next++ % 8], *p = out;

    for (; *text; text++)
        p += *text == '@' ? snprintf(p, 700, "%s", root) : snprintf(p, 2, "%c", *text);
    *p = '\0';
    return out;
}

/* Tries a row from the image at `image`; 0, or complains and returns 1. */
static int try_row(const struct row *row, const char *image)
{
    struct gate_rules rules = {0};
    AUTO(gate_free) struct gate *g = NULL;
    AUTO(free) char *path = NULL;
    char want[1400];
    struct io *io;
    int bad = 0;

    e = ERR_INIT;
    if (row->allow)
        assert_true(opt_texts_add(&rules.allow, full(row->allow), &e));
    if (row->map_from)
        assert_true(opt_pairs_add(&rules.path_map, full(row->map_from), full(row->map_to), &e));
    g = gate_new(image, &rules, &e);
    assert_ok(g, &e);
    io = gate_open(g, image, full(row->name), 0, &path, &e);
    snprintf(want, sizeof(want), row->opens && row->opens[0] == '/' ? "%.0s%s" : "%s/%s", root,
             row->opens ? row->opens : "");
    if (row->opens)
        bad = !io || strcmp(path, want) != 0 || strcmp(io->name, want) != 0;
    else
        bad = io || path || e.kind != row->kind || !strstr(e.text, full(row->words));
    if (bad)
        print_message("'%s' from '%s': %s %s: %s\n", row->name, image, path ? path : "-",
                      err_kind_name(e.kind), e.text);
    io_free(io);
    opt_texts_release(&rules.allow);
    opt_pairs_release(&rules.path_map);
    return bad;
}

static void test_names(void **state)
{
    int bad = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        bad += try_row(&rows[i], full("@/vm/disk.vmdk"));
    assert_int_equal(bad, 0);
}

/* The user may name the image by a symbolic link: the root is where the link leads. */
static void test_root(void **state)
{
    static const struct row beside = {.name = "base.vmdk", .opens = "vm/base.vmdk"};

    (void)state;
    point("user.vmdk", "vm/disk.vmdk");
    assert_int_equal(try_row(&beside, full("@/user.vmdk")), 0);
    assert_int_equal(try_row(&beside, full("@/link-to-vm/disk.vmdk")), 0);
}

/* Parents of parents: relative to the file that names them, under the same roots. */
static void test_chain(void **state)
{
    AUTO(free) char *path = NULL;
    struct gate *g, *other;
    struct io *io;

    (void)state;
    e = ERR_INIT;
    g = gate_new(full("@/vm/disk.vmdk"), NULL, &e);
    other = gate_ref(g);
    gate_free(g);
    io = gate_open(other, full("@/vm/sub/deep.vmdk"), "../base.vmdk", FILE_WRITE, &path, &e);
    assert_ok(io, &e);
    assert_ok(io_write(io, 0, "x", 1, &e), &e);
    io_free(io);
    assert_null(gate_open(other, full("@/vm/sub/deep.vmdk"), "deep2.vmdk", 0, &path, &e));
    assert_int_equal(e.kind, ERR_FORMAT);
    gate_free(other);
    gate_free(NULL);
}

static void test_new(void **state)
{
    struct gate_rules rules = {0};

    (void)state;
    e = ERR_INIT;
    assert_null(gate_new(full("@/none"), NULL, &e));
    assert_int_equal(e.kind, ERR_IO);
    e = ERR_INIT;
    assert_true(opt_texts_add(&rules.allow, full("@/none"), &e));
    assert_null(gate_new(full("@/vm/disk.vmdk"), &rules, &e));
    assert_int_equal(e.kind, ERR_USAGE);
    opt_texts_release(&rules.allow);
}

/* A block device beside the image passes only when its folder is allowed. */
static void test_device(void **state)
{
    static const struct row no = {.name = "device", .kind = ERR_GATE, .words = "a block device"};
    static const struct row yes = {
        .name = "device", .allow = "@/vm", .kind = ERR_IO, .words = "device"};

    (void)state;
    /* major 240 belongs to nobody, so that opening it cannot succeed */
    if (mknod(full("@/vm/device"), S_IFBLK | 0600, 240 << 8 | 250) != 0) {
        print_message("cannot make a device node here\n");
        skip();
    }
    assert_int_equal(try_row(&no, full("@/vm/disk.vmdk")), 0);
    assert_int_equal(try_row(&yes, full("@/vm/disk.vmdk")), 0);
    unlink(full("@/vm/device"));
}

/* Without /proc the same names open and the same are refused. */
static void test_without_proc(void **state)
{
    static const struct row without[] = {
        {.name = "base.vmdk", .opens = "vm/base.vmdk"},
        {.name = "in-link", .opens = "vm/sub/deep.vmdk"},
        {.name = "/vmfs/base.vmdk", .opens = "vm/base.vmdk"},
        {.name = "@/other/secret.img", .allow = "@/other", .opens = "other/secret.img"},
        {.name = "out-link", .kind = ERR_GATE, .words = "lies outside"},
        {.name = "out-dir/secret.img", .kind = ERR_GATE, .words = "lies outside"},
        {.name = "../other/secret.img", .kind = ERR_GATE, .words = "lies outside"},
        {.name = "/etc/passwd", .kind = ERR_GATE, .words = "lies outside"},
        {.name = "fifo", .kind = ERR_FORMAT, .words = "neither a file"},
        {.name = "folder", .kind = ERR_FORMAT, .words = "is a directory"},
    };
    pid_t pid;
    int status;

    (void)state;
    pid = fork();
    if (pid == 0) {
        int bad = 0;

        if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
            mount("none", "/proc", "tmpfs", 0, NULL) != 0)
            _exit(77);
        for (size_t i = 0; i < ARRAY_LEN(without); i++)
            bad += try_row(&without[i], full("@/vm/disk.vmdk"));
        fflush(NULL);
        _exit(bad ? 1 : 0);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        print_message("cannot hide /proc here\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),  cmocka_unit_test(test_root),
        cmocka_unit_test(test_chain),  cmocka_unit_test(test_new),
        cmocka_unit_test(test_device), cmocka_unit_test(test_without_proc),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

/* What the qcow2 tests share: temporary names, commands of the real peer, opening an image. */
#ifndef TESTS_QCOW2_PEER_H
#define TESTS_QCOW2_PEER_H

#include "driver.h"
#include "file.h"
#include "test.h"

#include "formats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct driver *const qcow2_only[] = {&driver_qcow2, NULL};

/* A path under test_dir(); one of 8 buffers, used in turn. */
__attribute__((format(printf, 1, 2))) static inline const char *in_dir(const char *fmt, ...)
{
    static char paths[8][512];
    static unsigned next;
    char *path = paths[next++ % 8];
    char name[200];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(name, sizeof(name), fmt, ap);
    va_end(ap);
    snprintf(path, sizeof(paths[0]), "%s/%s", test_dir(), name);
    return path;
}

/* Runs a shell command in test_dir(); true when it exits with 0. Otherwise its output is shown. */
__attribute__((format(printf, 1, 2))) static inline bool run(const char *fmt, ...)
{
    char command[4096], whole[5120];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(command, sizeof(command), fmt, ap);
    va_end(ap);
    snprintf(whole, sizeof(whole), "cd '%s' && { %s; } >log 2>&1", test_dir(), command);
    if (system(whole) == 0)
        return true;
    snprintf(whole, sizeof(whole), "echo '%.2000s'; cat '%s/log'", command, test_dir());
    if (system(whole) != 0)
        print_message("%s failed\n", command);
    return false;
}

static inline void need_peer(void)
{
    if (system("command -v qemu-img qemu-io >/dev/null") == 0)
        return;
    print_message("qemu-img or qemu-io is not installed\n");
    skip();
}

static inline struct image *open_layer(const char *path, const char *snapshot, struct err *e)
{
    struct image_options o = {.format = "qcow2", .snapshot = snapshot, .lock = IMAGE_LOCK_NONE};
    struct io *io = file_open(path, 0, e);
    struct gate *gate = io ? gate_new(path, NULL, e) : NULL;
    struct image *img = NULL;

    drivers_register(qcow2_only);
    if (gate)
        img = image_open_io(io, path, gate, &o, e);
    else
        io_free(io);
    gate_free(gate);
    return img;
}

/* Options of create from "key=value" texts, NULL-terminated; release with opt_release and free. */
static inline void *qcow2_options(const char *const *texts)
{
    const struct driver *d = &driver_qcow2;
    struct err e = ERR_INIT;
    void *o = mem_alloc(d->options_size, &e);

    assert_ok(o && opt_presets(d->options, o, &e), &e);
    for (; texts && *texts; texts++)
        assert_ok(opt_assign(d->options, o, *texts, &e), &e);
    return o;
}

#endif

/* What the VMDK tests share: files built byte by byte, the contents they stand for, opening and
 * reading them, and commands of the real peer. */
#ifndef TESTS_VMDK_BUILD_H
#define TESTS_VMDK_BUILD_H

#include "test.h"

#include "bytes.h"
#include "driver.h"
#include "formats.h"
#include "vmdk/header.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const struct driver *const vmdk_drivers[] = {&driver_vmdk, &driver_raw, NULL};

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

static inline void write_file(const char *name, const void *data, size_t len)
{
    FILE *f = fopen(in_dir("%s", name), "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static inline void put_text(const char *name, const char *text)
{
    write_file(name, text, strlen(text));
}

static inline struct image *open_chain(const char *name, struct err *e)
{
    struct image_options o = {.lock = IMAGE_LOCK_NONE};

    drivers_register(vmdk_drivers);
    return image_open(in_dir("%s", name), &o, e);
}

/* Sectors of a file being built in memory; the contents of the disk it stands for. */
struct built {
    uint8_t *file;
    size_t len, room;
    uint8_t *model;
    size_t size;
};

static inline struct built built_new(size_t room, size_t size)
{
    struct built b = {
        .file = calloc(1, room), .room = room, .model = calloc(1, size), .size = size};

    assert_true(b.file && b.model);
    return b;
}

static inline void built_free(struct built *b)
{
    free(b->file);
    free(b->model);
}

static inline uint8_t *built_sector(struct built *b, uint64_t sector, size_t bytes)
{
    assert_true(sector * VMDK_SECTOR + bytes <= b->room);
    b->len = MAX(b->len, sector * VMDK_SECTOR + bytes);
    return b->file + sector * VMDK_SECTOR;
}

/* Puts the data of the guest range [at, at+len) at `sector`, and into the model. */
static inline void built_data(struct built *b, uint64_t sector, uint64_t at, size_t len)
{
    uint64_t seed = at * 7919 + 1;
    uint8_t *to = built_sector(b, sector, len);

    for (size_t i = 0; i < len; i++)
        to[i] = (uint8_t)(test_random(&seed) | 1);
    memcpy(b->model + at, to, len);
}

/* Reads the whole disk in pieces of `step` and compares; on failure e tells why. */
static inline bool reads_as(struct image *img, const uint8_t *model, size_t size, size_t step,
                            struct err *e)
{
    uint8_t *buf = malloc(step);
    bool ok = true;

    assert_int_equal(img->size, size);
    for (size_t at = 0; ok && at < size; at += step) {
        size_t n = MIN(step, size - at);

        ok = image_read(img, at, buf, n, e);
        if (ok && memcmp(buf, model + at, n) != 0) {
            free(buf);
            fail_msg("other contents between %zu and %zu", at, at + n);
        }
    }
    free(buf);
    return ok;
}

#endif

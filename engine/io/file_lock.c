/* Image locks compatible with qemu's (block/file-posix.c, RAW_LOCK_PERM_BASE and
 * RAW_LOCK_SHARED_BASE).
 *
 * Each permission is a bit. Who holds it keeps a shared lock on byte 100+bit; who refuses it to
 * others keeps one on byte 200+bit. After taking its own bytes, an opener tests that nobody refuses
 * what it holds and nobody holds what it refuses. All locks belong to the open file description. */
#include "file.h"

#include "bytes.h"
#include "fault.h"
#include "file_store.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>

enum { HELD_BASE = 100, REFUSED_BASE = 200, PERMISSIONS = 4 };
enum { PERM_READ = 1 << 0, PERM_WRITE = 1 << 1, PERM_RESIZE = 1 << 3 };

static const struct {
    unsigned held, refused;
} modes[] = {
    [FILE_LOCK_READ] = {PERM_READ, PERM_WRITE | PERM_RESIZE},
    [FILE_LOCK_WRITE] = {PERM_READ | PERM_WRITE | PERM_RESIZE, PERM_WRITE | PERM_RESIZE},
};

/* The bytes of a mode as bits of struct file's `locked`. */
static uint64_t mask_of(unsigned held, unsigned refused)
{
    return (uint64_t)refused << 32 | held;
}

/* One lock call on the byte that a bit of `locked` stands for. 0, or an errno value; `ret_taken`
 * (F_OFD_GETLK) tells whether another holder is in the way. */
static int lock_byte(struct file *f, int command, short type, unsigned bit, bool *ret_taken)
{
    struct flock l = {.l_type = type,
                      .l_whence = SEEK_SET,
                      .l_start =
                          bit < 32 ? HELD_BASE + (off_t)bit : REFUSED_BASE + (off_t)(bit - 32),
                      .l_len = 1};

    if (fcntl(f->io.fd, command, &l) < 0)
        return errno;
    if (ret_taken)
        *ret_taken = l.l_type != F_UNLCK;
    return 0;
}

static bool busy(struct file *f, unsigned permission, bool refused, struct err *e)
{
    static const char *const doing[PERMISSIONS] = {"reading it", "writing to it", "changing it",
                                                   "resizing it"};

    return err_set(e, ERR_BUSY,
                   refused ? "'%s' is in use: another process has it open and refuses others %s; "
                             "stop the machine or the tool that uses it"
                           : "'%s' is in use: another process has it open and is %s; stop the "
                             "machine or the tool that uses it",
                   f->io.name, doing[permission]);
}

/* Asks whether anyone else stands against the mode. Unable to ask is no obstacle. */
static bool test(struct file *f, enum file_lock mode, struct err *e)
{
    for (unsigned i = 0; i < PERMISSIONS; i++) {
        bool taken = false;

        if (modes[mode].held & (1u << i)) {
            if (lock_byte(f, F_OFD_GETLK, F_WRLCK, 32 + i, &taken) == 0 && taken)
                return busy(f, i, true, e);
        }
        if (modes[mode].refused & (1u << i)) {
            if (lock_byte(f, F_OFD_GETLK, F_WRLCK, i, &taken) == 0 && taken)
                return busy(f, i, false, e);
        }
    }
    return true;
}

static void unlock(struct file *f, uint64_t bytes)
{
    for (unsigned bit = 0; bit < 64; bit++)
        if (bytes >> bit & 1)
            lock_byte(f, F_OFD_SETLK, F_UNLCK, bit, NULL);
    f->locked &= ~bytes;
}

/* Takes the bytes not held yet and notes them in *ret_new. */
static bool take(struct file *f, uint64_t want, uint64_t *ret_new, struct err *e)
{
    for (unsigned bit = 0; bit < 64; bit++) {
        int r;

        if (!(want >> bit & 1) || f->locked >> bit & 1)
            continue;
        r = fault_point("lock") ? EAGAIN : lock_byte(f, F_OFD_SETLK, F_RDLCK, bit, NULL);
        if (r == EAGAIN || r == EACCES)
            return busy(f, bit % 32, bit >= 32, e);
        if (r) {
            log_detail("'%s' is not locked: its file system knows no such locks", f->io.name);
            return true;
        }
        f->locked |= UINT64_C(1) << bit;
        *ret_new |= UINT64_C(1) << bit;
    }
    return true;
}

bool file_lock(struct io *io, enum file_lock mode, struct err *e)
{
    struct file *f = file_of(io);
    uint64_t want = mask_of(modes[mode].held, modes[mode].refused), taken = 0;
    bool ok;

    if (!f)
        return true;
    pthread_mutex_lock(&f->lock_lock);
    ok = take(f, want, &taken, e) && test(f, mode, e);
    if (!ok)
        unlock(f, taken);
    else
        unlock(f, f->locked & ~want);
    pthread_mutex_unlock(&f->lock_lock);
    return ok;
}

bool file_lock_test(struct io *io, enum file_lock mode, struct err *e)
{
    struct file *f = file_of(io);

    return !f || test(f, mode, e);
}

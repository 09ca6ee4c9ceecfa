/* Staged stores; see staged.h. What is staged is kept by pages of 4 KiB in ascending order, with a
 * bit for each sector that was written. */
#include "staged.h"

#include "buf.h"
#include "bytes.h"
#include "digest.h"
#include "mem.h"
#include "vec.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>

enum {
    SECTOR = 512,
    PAGE = 4096,
    PAGE_SECTORS = PAGE / SECTOR,
    HEADER = 40, /* magic, end of what counts in the base, new size, bytes of the records */
    RECORD = 16, /* position, sectors; then a CRC of each old sector, and the new ones */
    REDO_MAX = 256 << 20, /* callers commit at a fraction of that */
};

static const char magic[16] = "strata redo 1\n";

struct stage {
    uint64_t number;
    uint8_t dirty; /* bit i: sector i of the page */
    uint8_t *data;
};

struct staged {
    struct io io;
    struct io *base;
    pthread_mutex_t lock;
    VEC(struct stage) pages; /* by number */
    uint64_t base_end;       /* of the base, what lies before this still counts */
};

static struct staged *staged_of(const struct io *io)
{
    return (struct staged *)io;
}

/* The index of the first page whose number is not below. */
static size_t lower(const struct staged *s, uint64_t number)
{
    size_t low = 0, high = s->pages.count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (s->pages.items[mid].number < number)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* Bytes of the base as they count now: zeroes behind its end. */
static bool base_read(struct staged *s, uint64_t pos, uint8_t *buf, size_t len, struct err *e)
{
    size_t inside = pos < s->base_end ? (size_t)MIN((uint64_t)len, s->base_end - pos) : 0;

    memset(buf + inside, 0, len - inside);
    return !inside || io_read(s->base, pos, buf, inside, e);
}

static struct stage *page_of(struct staged *s, uint64_t number, struct err *e)
{
    size_t at = lower(s, number);
    struct stage new = {.number = number};

    if (at < s->pages.count && s->pages.items[at].number == number)
        return &s->pages.items[at];
    new.data = mem_pages(PAGE, e);
    if (!new.data || !VEC_PUSH(&s->pages, new, e)) {
        free(new.data);
        return NULL;
    }
    memmove(s->pages.items + at + 1, s->pages.items + at,
            (s->pages.count - 1 - at) * sizeof(*s->pages.items));
    s->pages.items[at] = new;
    return &s->pages.items[at];
}

/* Writes within one page; `buf` NULL: zeroes. */
static bool write_page(struct staged *s, uint64_t pos, const uint8_t *buf, size_t len,
                       struct err *e)
{
    struct stage *page = page_of(s, pos / PAGE, e);
    size_t from = (size_t)(pos % PAGE), end = from + len;

    if (!page)
        return false;
    for (size_t i = from / SECTOR; i < div_up(end, SECTOR); i++) {
        bool whole = from <= i * SECTOR && end >= (i + 1) * SECTOR;

        if (!whole && !(page->dirty >> i & 1) &&
            !base_read(s, page->number * PAGE + i * SECTOR, page->data + i * SECTOR, SECTOR, e))
            return false;
    }
    for (size_t i = from / SECTOR; i < div_up(end, SECTOR); i++)
        page->dirty |= (uint8_t)(1u << i);
    if (buf)
        memcpy(page->data + from, buf, len);
    else
        memset(page->data + from, 0, len);
    return true;
}

/* `buf` NULL: zeroes. */
static bool write_range(struct io *io, uint64_t pos, const uint8_t *buf, uint64_t len,
                        struct err *e)
{
    struct staged *s = staged_of(io);
    bool ok = true;

    pthread_mutex_lock(&s->lock);
    for (uint64_t n; ok && len; len -= n) {
        n = MIN(len, PAGE - pos % PAGE);
        ok = write_page(s, pos, buf, (size_t)n, e);
        if (ok)
            io_grown(io, pos + n);
        pos += n;
        buf = buf ? buf + n : NULL;
    }
    pthread_mutex_unlock(&s->lock);
    return ok;
}

static bool staged_write(struct io *io, uint64_t pos, const void *buf, size_t len, struct err *e)
{
    return write_range(io, pos, buf, len, e);
}

static bool staged_zero(struct io *io, uint64_t pos, uint64_t len, struct err *e)
{
    return write_range(io, pos, NULL, len, e);
}

static bool staged_read(struct io *io, uint64_t pos, void *buf, size_t len, struct err *e)
{
    struct staged *s = staged_of(io);
    uint8_t *to = buf;
    bool ok;

    pthread_mutex_lock(&s->lock);
    ok = base_read(s, pos, to, len, e);
    for (size_t i = lower(s, pos / PAGE); ok && i < s->pages.count; i++) {
        const struct stage *page = &s->pages.items[i];

        if (page->number * PAGE >= pos + len)
            break;
        for (unsigned k = 0; k < PAGE_SECTORS; k++) {
            uint64_t at = page->number * PAGE + k * SECTOR;
            uint64_t from = MAX(at, pos), end = MIN(at + SECTOR, pos + len);

            if ((page->dirty >> k & 1) && from < end)
                memcpy(to + (from - pos), page->data + (from - page->number * PAGE), end - from);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return ok;
}

static bool staged_resize(struct io *io, uint64_t size, struct err *e)
{
    struct staged *s = staged_of(io);
    uint64_t rest = size % PAGE;

    pthread_mutex_lock(&s->lock);
    if (size < io->size) {
        size_t keep = lower(s, div_up(size, PAGE));

        while (s->pages.count > keep)
            free(s->pages.items[--s->pages.count].data);
        if (rest && keep && s->pages.items[keep - 1].number == size / PAGE)
            memset(s->pages.items[keep - 1].data + rest, 0, PAGE - rest);
        s->base_end = MIN(s->base_end, size);
    }
    __atomic_store_n(&io->size, size, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&s->lock);
    (void)e;
    return true;
}

bool staged_through(struct io *io, uint64_t pos, const void *buf, size_t len, struct err *e)
{
    struct staged *s = staged_of(io);

    if (!io_write(s->base, pos, buf, len, e))
        return false;
    pthread_mutex_lock(&s->lock);
    s->base_end = MAX(s->base_end, pos + len);
    io_grown(io, pos + len);
    pthread_mutex_unlock(&s->lock);
    return true;
}

void staged_forget(struct io *io)
{
    struct staged *s = staged_of(io);

    while (s->pages.count)
        free(s->pages.items[--s->pages.count].data);
    s->base_end = s->io.size = io_size(s->base);
}

static void staged_free(struct io *io)
{
    struct staged *s = staged_of(io);

    staged_forget(io);
    free(s->pages.items);
    io_free(s->base);
    pthread_mutex_destroy(&s->lock);
    free(io->name);
    free(s);
}

static const struct io_ops staged_ops = {
    .kind = "staged",
    .read = staged_read,
    .write = staged_write,
    .resize = staged_resize,
    .zero = staged_zero,
    .free = staged_free,
};

struct io *staged_new(struct io *base, struct err *e)
{
    struct staged *s = mem_new(struct staged, e);

    if (!s)
        return NULL;
    s->io = (struct io){
        .ops = &staged_ops, .size = base->size, .fd = -1, .device = base->device, .refs = 1};
    s->base = io_ref(base);
    s->base_end = base->size;
    pthread_mutex_init(&s->lock, NULL);
    s->io.name = mem_text(base->name, e);
    if (!s->io.name) {
        staged_free(&s->io);
        return NULL;
    }
    return &s->io;
}

uint64_t staged_bytes(const struct io *io)
{
    return staged_of(io)->pages.count * PAGE;
}

/* ---- the redo ---- */

struct redo {
    const uint8_t *records;
    uint64_t len;      /* of the records */
    uint64_t base_end; /* what the base held before this no longer counts behind it */
    uint64_t size;     /* of the base afterwards */
};

struct record {
    uint64_t pos, sectors;
    const uint8_t *sums, *data;
};

static void add_le64(struct buf *to, uint64_t v)
{
    uint8_t raw[8];

    put_le64(raw, v);
    buf_add(to, raw, sizeof(raw));
}

/* One record: the sectors of a page from `first` on that are dirty. */
static bool add_record(struct staged *s, const struct stage *page, unsigned first, unsigned count,
                       struct buf *to, struct err *e)
{
    uint64_t pos = page->number * PAGE + first * SECTOR;
    uint8_t old[PAGE], sum[4];

    if (!base_read(s, pos, old, (size_t)count * SECTOR, e))
        return false;
    add_le64(to, pos);
    add_le64(to, count);
    for (unsigned i = 0; i < count; i++) {
        put_le32(sum, crc32_sum(0, old + (size_t)i * SECTOR, SECTOR));
        buf_add(to, sum, sizeof(sum));
    }
    buf_add(to, page->data + (size_t)first * SECTOR, (size_t)count * SECTOR);
    return true;
}

static bool make_redo(struct staged *s, struct buf *to, struct err *e)
{
    struct digest_value sum;

    buf_add(to, magic, sizeof(magic));
    buf_zero(to, HEADER - sizeof(magic));
    for (size_t i = 0; i < s->pages.count; i++) {
        const struct stage *page = &s->pages.items[i];

        for (unsigned first = 0, end; first < PAGE_SECTORS; first = end) {
            end = first + 1;
            if (!(page->dirty >> first & 1))
                continue;
            while (end < PAGE_SECTORS && (page->dirty >> end & 1))
                end++;
            if (!add_record(s, page, first, end - first, to, e))
                return false;
        }
    }
    if (!buf_ok(to, e))
        return false;
    put_le64(to->data + 16, s->base_end);
    put_le64(to->data + 24, s->io.size);
    put_le64(to->data + 32, to->len - HEADER);
    digest_sha256(to->data, to->len, &sum);
    buf_add(to, sum.bytes, sizeof(sum.bytes));
    return buf_ok(to, e);
}

/* False when these bytes are not a complete redo. */
static bool parse_redo(const uint8_t *bytes, uint64_t len, struct redo *ret)
{
    struct digest_value sum;

    if (len < HEADER + DIGEST_SIZE || memcmp(bytes, magic, sizeof(magic)) != 0 ||
        get_le64(bytes + 32) != len - HEADER - DIGEST_SIZE)
        return false;
    digest_sha256(bytes, len - DIGEST_SIZE, &sum);
    if (memcmp(sum.bytes, bytes + len - DIGEST_SIZE, DIGEST_SIZE) != 0)
        return false;
    *ret = (struct redo){.records = bytes + HEADER,
                         .len = get_le64(bytes + 32),
                         .base_end = get_le64(bytes + 16),
                         .size = get_le64(bytes + 24)};
    return ret->size <= INT64_MAX && ret->base_end <= ret->size;
}

/* The next record; false at the end. What was digested is trusted to be whole. */
static bool next_record(const struct redo *redo, uint64_t *at, struct record *ret)
{
    const uint8_t *p = redo->records + *at;
    uint64_t left = redo->len - *at, room;

    if (left < RECORD)
        return false;
    *ret = (struct record){.pos = get_le64(p), .sectors = get_le64(p + 8), .sums = p + RECORD};
    room = (left - RECORD) / (SECTOR + 4);
    if (!ret->sectors || ret->sectors > room || ret->pos >= redo->size)
        return false;
    ret->data = ret->sums + 4 * ret->sectors;
    *at += RECORD + ret->sectors * (SECTOR + 4);
    return true;
}

/* Is every sector either as it was or as it shall be? */
static bool check_old(struct io *base, const struct redo *redo, struct err *e)
{
    struct record r;

    for (uint64_t at = 0; next_record(redo, &at, &r);) {
        for (uint64_t i = 0; i < r.sectors; i++) {
            uint64_t pos = r.pos + i * SECTOR;
            uint8_t is[SECTOR];
            bool same;

            if (pos >= redo->base_end)
                continue;
            if (!io_read_padded(base, pos, is, SECTOR, e))
                return false;
            same = !memcmp(is, r.data + i * SECTOR, SECTOR);
            if (redo->base_end - pos < SECTOR)
                memset(is + (redo->base_end - pos), 0, SECTOR - (redo->base_end - pos));
            if (!same && crc32_sum(0, is, SECTOR) != get_le32(r.sums + 4 * i))
                return err_set(e, ERR_CHANGED,
                               "'%s' was changed at byte %" PRIu64
                               " since an edit of it was interrupted",
                               base->name, pos);
        }
    }
    return true;
}

static bool write_records(struct io *base, const struct redo *redo, bool behind, struct err *e)
{
    struct record r;

    for (uint64_t at = 0; next_record(redo, &at, &r);)
        if ((r.pos >= redo->base_end) == behind &&
            !io_write(base, r.pos, r.data, (size_t)MIN(r.sectors * SECTOR, redo->size - r.pos), e))
            return false;
    return io_sync(base, e);
}

static bool apply(struct io *base, const struct redo *redo, struct err *e)
{
    return (base->device || (io_resize(base, MIN(redo->base_end, io_size(base)), e) &&
                             io_resize(base, redo->size, e))) &&
           write_records(base, redo, true, e) && write_records(base, redo, false, e);
}

static bool empty(struct io *redo, struct err *e)
{
    return io_resize(redo, 0, e) && io_sync(redo, e);
}

bool staged_commit(struct io *io, struct io *redo, struct err *e)
{
    struct staged *s = staged_of(io);
    AUTO(buf_release) struct buf bytes = {0};
    struct redo parsed;

    if (!s->pages.count && io->size == io_size(s->base) && s->base_end == io->size)
        return io_sync(s->base, e);
    if (!make_redo(s, &bytes, e) || !io_sync(s->base, e))
        return false;
    if (bytes.len > REDO_MAX || !parse_redo((const uint8_t *)bytes.data, bytes.len, &parsed))
        return err_set(e, ERR_BUG, "a redo of %zu bytes", bytes.len);
    if (!io_write(redo, 0, bytes.data, bytes.len, e) || !io_sync(redo, e) ||
        !apply(s->base, &parsed, e) || !empty(redo, e))
        return false;
    staged_forget(io);
    return true;
}

bool staged_replay(struct io *base, struct io *redo, bool *ret_done, struct err *e)
{
    AUTO(free) uint8_t *bytes = NULL;
    struct redo parsed;

    *ret_done = false;
    if (redo->size > REDO_MAX)
        return err_set(e, ERR_FORMAT, "'%s' has %" PRIu64 " bytes: it is no record of an edit",
                       redo->name, redo->size);
    if (redo->size) {
        bytes = mem_alloc((size_t)redo->size, e);
        if (!bytes || !io_read(redo, 0, bytes, (size_t)redo->size, e))
            return false;
    }
    if (!bytes || !parse_redo(bytes, redo->size, &parsed))
        return empty(redo, e);
    if (!check_old(base, &parsed, e) || !apply(base, &parsed, e) || !empty(redo, e))
        return false;
    *ret_done = true;
    return true;
}

/* Parsing and writing of VMDK descriptors.
 *
 * "Virtual Disk Format 5.0", section "Descriptor File": comment lines, `key = value` lines and
 * extent lines `ACCESS SECTORS TYPE ["FILE" [OFFSET ...]]`. Real files differ in spacing, in the
 * case of the first line, in line ends, and are padded with NULs or blanks. */
#include "descriptor.h"

#include "bytes.h"
#include "text.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char signature[] = "# disk descriptorfile";

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

bool descriptor_begins(const void *bytes, size_t len)
{
    const char *text = bytes, *end = text + len;
    const char *want = signature;

    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        text += 3;
    while (text < end && (is_blank(*text) || *text == '\n'))
        text++;
    for (; *want; want++) {
        if (*want == ' ') { /* "#DiskDescriptorFile" and "#  Disk ..." occur */
            while (text < end && is_blank(*text))
                text++;
            continue;
        }
        if (text == end || tolower((unsigned char)*text++) != *want)
            return false;
    }
    return true;
}

struct cursor {
    const char *at, *end; /* of the line, blanks trimmed */
    unsigned line;
};

static void skip_blanks(struct cursor *c)
{
    while (c->at < c->end && is_blank(*c->at))
        c->at++;
}

/* The next word, ended by a blank; false at the end of the line. */
static bool next_word(struct cursor *c, const char **ret_word, size_t *ret_len)
{
    skip_blanks(c);
    *ret_word = c->at;
    while (c->at < c->end && !is_blank(*c->at))
        c->at++;
    *ret_len = (size_t)(c->at - *ret_word);
    return *ret_len > 0;
}

static bool word_is(const char *word, size_t len, const char *name)
{
    return strlen(name) == len && strncasecmp(word, name, len) == 0;
}

static bool word_number(const char *word, size_t len, uint64_t *ret)
{
    uint64_t v = 0;

    if (!len || len > 19) /* 19 digits fit into 64 bits */
        return false;
    for (size_t i = 0; i < len; i++) {
        if (word[i] < '0' || word[i] > '9')
            return false;
        v = v * 10 + (uint64_t)(word[i] - '0');
    }
    *ret = v;
    return true;
}

static bool bad_line(const struct cursor *c, struct err *e, const char *what)
{
    return err_set(e, ERR_FORMAT, "line %u of the descriptor %s", c->line, what);
}

static const struct {
    const char *word;
    enum desc_type type;
} extent_types[] = {
    {"FLAT", DESC_FLAT},
    {"VMFS", DESC_FLAT},
    {"SPARSE", DESC_SPARSE},
    {"VMFSSPARSE", DESC_SPARSE},
    {"SESPARSE", DESC_SPARSE},
    {"ZERO", DESC_ZERO},
    {"VMFSRDM", DESC_DEVICE},
    {"VMFSRDMP", DESC_DEVICE},
    {"VMFSRAW", DESC_DEVICE},
    {"VMFSPASSTHROUGHRAW", DESC_DEVICE},
    {"VMFSPASSTHROUGHRDM", DESC_DEVICE},
};

static bool parse_type(struct cursor *c, struct desc_extent *x, struct err *e)
{
    const char *word;
    size_t len;

    if (!next_word(c, &word, &len))
        return bad_line(c, e, "has an extent without a type");
    for (size_t i = 0; i < ARRAY_LEN(extent_types); i++) {
        if (word_is(word, len, extent_types[i].word)) {
            x->type = extent_types[i].type;
            snprintf(x->word, sizeof(x->word), "%s", extent_types[i].word);
            return true;
        }
    }
    return err_set(e, ERR_UNSUPPORTED,
                   "line %u of the descriptor has an extent of unknown type '%.*s'", c->line,
                   (int)MIN(len, (size_t)40), word);
}

/* A file name or path. Hosts with backslashes record "..\\base\\disk.vmdk": that is turned round,
 * unless the name begins with a drive or device, which the opener knows by itself. */
static char *path_text(const char *text, size_t len, struct err *e)
{
    char *name = mem_textn(text, len, e);

    if (!name || strchr(name, '/') || (name[0] && name[1] == ':') || text_starts(name, "\\\\.\\"))
        return name;
    for (char *c = name; *c; c++)
        if (*c == '\\')
            *c = '/';
    return name;
}

/* The quoted file name; some writers leave the quotes out. */
static bool parse_name(struct cursor *c, struct desc_extent *x, struct err *e)
{
    const char *name;
    size_t len;

    skip_blanks(c);
    if (c->at < c->end && *c->at == '"') {
        name = ++c->at;
        while (c->at < c->end && *c->at != '"')
            c->at++;
        if (c->at == c->end)
            return bad_line(c, e, "has a file name without its closing quote");
        len = (size_t)(c->at++ - name);
    } else {
        next_word(c, &name, &len);
    }
    if (!len)
        return bad_line(c, e, "has an extent without a file name");
    if (len > 4096) /* longer names do not exist: PATH_MAX */
        return bad_line(c, e, "has a file name of more than 4096 bytes");
    x->name = path_text(name, len, e);
    return x->name != NULL;
}

static bool parse_extent(struct descriptor *d, struct cursor *c, enum desc_access access,
                         struct err *e)
{
    struct desc_extent x = {.access = access};
    const char *word;
    size_t len;

    if (d->extents.count >= DESCRIPTOR_EXTENTS_MAX)
        return err_set(e, ERR_FORMAT, "the descriptor has more than %d extents",
                       DESCRIPTOR_EXTENTS_MAX);
    if (!next_word(c, &word, &len) || !word_number(word, len, &x.sectors))
        return bad_line(c, e, "has an extent without a number of sectors");
    if (!parse_type(c, &x, e))
        return false;
    if (x.type != DESC_ZERO && !parse_name(c, &x, e))
        return false;
    if (x.type == DESC_FLAT && next_word(c, &word, &len) && !word_number(word, len, &x.offset)) {
        free(x.name);
        return bad_line(c, e, "has an extent whose offset is no number");
    }
    if (x.offset && strcmp(x.word, "VMFS") == 0) {
        free(x.name);
        return bad_line(c, e, "has a VMFS extent with an offset, which the format does not know");
    }
    if (!VEC_PUSH(&d->extents, x, e)) {
        free(x.name);
        return false;
    }
    return true;
}

static bool parse_cid(const struct cursor *c, const char *value, size_t len, bool *ret_has,
                      uint32_t *ret_cid, struct err *e)
{
    uint32_t v = 0;

    if (*ret_has)
        return true; /* the first one counts, as for qemu */
    if (!len || len > 8)
        return bad_line(c, e, "has a content id that is not of 8 hexadecimal digits");
    for (size_t i = 0; i < len; i++) {
        if (!isxdigit((unsigned char)value[i]))
            return bad_line(c, e, "has a content id that is not of 8 hexadecimal digits");
        v = v << 4 | (uint32_t)(isdigit((unsigned char)value[i])
                                    ? value[i] - '0'
                                    : tolower((unsigned char)value[i]) - 'a' + 10);
    }
    *ret_has = true;
    *ret_cid = v;
    return true;
}

static bool keep_text(char **slot, const char *value, size_t len, struct err *e)
{
    if (*slot)
        return true;
    *slot = mem_textn(value, len, e);
    return *slot != NULL;
}

static bool keep_ddb(struct descriptor *d, const char *key, size_t key_len, const char *value,
                     size_t len, struct err *e)
{
    AUTO(free) char *k = NULL;
    AUTO(free) char *v = NULL;

    if (d->ddb.count >= DESCRIPTOR_DDB_MAX)
        return true;
    k = mem_textn(key, key_len, e);
    v = k ? mem_textn(value, len, e) : NULL;
    return v && opt_pairs_add(&d->ddb, k, v, e);
}

static bool parse_key(struct descriptor *d, struct cursor *c, struct err *e)
{
    const char *key = c->at, *equals = memchr(c->at, '=', (size_t)(c->end - c->at));
    const char *value;
    size_t key_len, len;

    if (!equals)
        return bad_line(c, e, "is neither an extent nor a key with a value");
    key_len = (size_t)(equals - key);
    while (key_len && is_blank(key[key_len - 1]))
        key_len--;
    c->at = equals + 1;
    skip_blanks(c);
    value = c->at;
    len = (size_t)(c->end - value);
    if (len && *value == '"') {
        const char *quote = memchr(value + 1, '"', len - 1);

        value++;
        len = quote ? (size_t)(quote - value) : len - 1;
    }
    if (word_is(key, key_len, "CID"))
        return parse_cid(c, value, len, &d->has_cid, &d->cid, e);
    if (word_is(key, key_len, "parentCID"))
        return parse_cid(c, value, len, &d->has_parent_cid, &d->parent_cid, e);
    if (word_is(key, key_len, "createType"))
        return keep_text(&d->create_type, value, len, e);
    if (word_is(key, key_len, "parentFileNameHint"))
        return d->parent_hint || (d->parent_hint = path_text(value, len, e));
    if (word_is(key, key_len, "changeTrackPath"))
        return keep_text(&d->change_track, value, len, e);
    if (word_is(key, key_len, "encoding"))
        return keep_text(&d->encoding, value, len, e);
    if (key_len > 4 && strncasecmp(key, "ddb.", 4) == 0)
        return keep_ddb(d, key + 4, key_len - 4, value, len, e);
    return true;
}

static bool parse_line(struct descriptor *d, struct cursor *c, struct err *e)
{
    static const char *const access[] = {"RW", "RDONLY", "NOACCESS"};
    struct cursor ahead;
    const char *word;
    size_t len;

    skip_blanks(c);
    while (c->end > c->at && is_blank(c->end[-1]))
        c->end--;
    if (c->at == c->end || *c->at == '#')
        return true;
    ahead = *c;
    next_word(&ahead, &word, &len);
    for (size_t i = 0; i < ARRAY_LEN(access); i++)
        if (word_is(word, len, access[i]))
            return parse_extent(d, &ahead, (enum desc_access)i, e);
    return parse_key(d, c, e);
}

bool descriptor_parse(const char *text, size_t len, struct descriptor *ret, struct err *e)
{
    const char *at = text, *end;
    const char *nul = memchr(text, '\0', len);
    struct cursor c = {0};

    *ret = (struct descriptor){.parent_cid = DESCRIPTOR_NO_PARENT};
    end = nul ? nul : text + len;
    if (!descriptor_begins(text, (size_t)(end - text)))
        return err_set(e, ERR_FORMAT, "the descriptor does not begin with '# Disk DescriptorFile'");
    if (end - at >= 3 && memcmp(at, "\xef\xbb\xbf", 3) == 0)
        at += 3;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));

        c.line++;
        c.at = at;
        c.end = stop ? stop : end;
        if (!parse_line(ret, &c, e))
            return false;
        at = stop ? stop + 1 : end;
    }
    return true;
}

void descriptor_release(struct descriptor *d)
{
    for (size_t i = 0; i < d->extents.count; i++)
        free(d->extents.items[i].name);
    free(d->extents.items);
    free(d->create_type);
    free(d->parent_hint);
    free(d->change_track);
    free(d->encoding);
    opt_pairs_release(&d->ddb);
    *d = (struct descriptor){0};
}

void descriptor_write_head(struct buf *b, const struct descriptor_new *d)
{
    buf_format(b, "# Disk DescriptorFile\nversion=1\nencoding=\"UTF-8\"\nCID=%08" PRIx32 "\n",
               d->cid);
    buf_format(b, "parentCID=%08" PRIx32 "\ncreateType=\"%s\"\n", d->parent_cid, d->create_type);
    if (d->parent_hint)
        buf_format(b, "parentFileNameHint=\"%s\"\n", d->parent_hint);
    buf_text(b, "\n# Extent description\n");
}

void descriptor_write_extent(struct buf *b, uint64_t sectors, const char *type, const char *name)
{
    buf_format(b, "RW %" PRIu64 " %s \"%s\"%s\n", sectors, type, name,
               strcmp(type, "FLAT") == 0 ? " 0" : "");
}

/* What BIOSes of virtual machines expect. IDE stops at 16383 cylinders (ATA-6, section 6.2);
 * SCSI: VMware's BusLogic and LSI Logic controllers translate by the size of the disk. */
static void write_geometry(struct buf *b, const char *adapter, uint64_t sectors)
{
    unsigned heads = 255, spt = 63;
    uint64_t cylinders;

    if (strcmp(adapter, "ide") == 0) {
        heads = 16;
    } else if (sectors < GIB / 512) {
        heads = 64;
        spt = 32;
    } else if (sectors < 2 * GIB / 512) {
        heads = 128;
        spt = 32;
    }
    cylinders = sectors / (heads * spt);
    if (strcmp(adapter, "ide") == 0)
        cylinders = MIN(cylinders, 16383);
    buf_format(b, "ddb.geometry.cylinders = \"%" PRIu64 "\"\n", cylinders);
    buf_format(b, "ddb.geometry.heads = \"%u\"\nddb.geometry.sectors = \"%u\"\n", heads, spt);
}

void descriptor_write_tail(struct buf *b, const struct descriptor_new *d)
{
    char hex[33];

    buf_format(b, "\n# The Disk Data Base\n#DDB\n\nddb.adapterType = \"%s\"\n", d->adapter);
    buf_text(b, "ddb.encoding = \"UTF-8\"\n");
    write_geometry(b, d->adapter, d->sectors);
    hex_encode(d->content_id, 16, hex);
    buf_format(b, "ddb.longContentID = \"%s\"\nddb.uuid = \"", hex);
    for (unsigned i = 0; i < 16; i++)
        buf_format(b, "%02x%s", d->uuid[i], i == 7 ? "-" : i == 15 ? "" : " ");
    buf_format(b, "\"\nddb.virtualHWVersion = \"%u\"\n", d->hw_version);
}

/* The header of a VDI, packed and unpacked; see vdi.h for the positions. */
#include "vdi.h"

#include "bytes.h"

#include <stdio.h>
#include <string.h>

/* VDICore: readers go by the signature; the text says what wrote the image. */
static const char banner[] = "<<< Oracle VM VirtualBox Disk Image >>>\n";

bool vdi_header_unpack(const uint8_t raw[VDI_HEADER_SIZE], struct vdi_header *ret)
{
    struct vdi_header h = {
        .version = get_le32(raw + 68),
        .header_size = get_le32(raw + 72),
        .type = get_le32(raw + 76),
        .map_pos = get_le32(raw + 340),
        .data_pos = get_le32(raw + 344),
        .sector_size = get_le32(raw + 360),
        .size = get_le64(raw + 368),
        .block_size = get_le32(raw + 376),
        .block_extra = get_le32(raw + 380),
        .blocks = get_le32(raw + 384),
        .allocated = get_le32(raw + 388),
    };

    if (get_le32(raw + 64) != VDI_SIGNATURE)
        return false;
    memcpy(h.uuid, raw + 392, 16);
    memcpy(h.modification, raw + 408, 16);
    memcpy(h.parent, raw + 424, 16);
    memcpy(h.parent_changed, raw + 440, 16);
    *ret = h;
    return true;
}

void vdi_header_pack(const struct vdi_header *h, uint8_t raw[VDI_HEADER_SIZE])
{
    memset(raw, 0, VDI_HEADER_SIZE);
    memcpy(raw, banner, sizeof(banner) - 1);
    put_le32(raw + 64, VDI_SIGNATURE);
    put_le32(raw + 68, h->version);
    put_le32(raw + 72, h->header_size);
    put_le32(raw + 76, h->type);
    put_le32(raw + 340, h->map_pos);
    put_le32(raw + 344, h->data_pos);
    put_le32(raw + 360, h->sector_size);
    put_le64(raw + 368, h->size);
    put_le32(raw + 376, h->block_size);
    put_le32(raw + 380, h->block_extra);
    put_le32(raw + 384, h->blocks);
    put_le32(raw + 388, h->allocated);
    memcpy(raw + 392, h->uuid, 16);
    memcpy(raw + 408, h->modification, 16);
    memcpy(raw + 424, h->parent, 16);
    memcpy(raw + 440, h->parent_changed, 16);
}

void vdi_uuid_text(const uint8_t uuid[16], char text[VDI_UUID_TEXT])
{
    snprintf(text, VDI_UUID_TEXT, "%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x",
             get_le32(uuid), get_le16(uuid + 4), get_le16(uuid + 6), uuid[8], uuid[9], uuid[10],
             uuid[11], uuid[12], uuid[13], uuid[14], uuid[15]);
}

bool vdi_uuid_null(const uint8_t uuid[16])
{
    static const uint8_t null[16];

    return !memcmp(uuid, null, sizeof(null));
}

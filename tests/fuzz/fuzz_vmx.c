/* VMX files: bytes to entries, entries to disks and hardware. */
#include "vmx.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct source source = {0};
    struct err e = ERR_INIT;
    struct vmx vmx = {0};
    char *text;

    if (size > VMX_MAX)
        return 0;
    text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    vmx_probe(text, size);
    if (vmx_parse("fuzz", text, size, &vmx, &e)) {
        if (!vmx.count || !vmx_get(&vmx, vmx.items[0].key))
            abort(); /* every entry can be found */
        vmx_source(&vmx, "/fuzz.vmx", &source, &e);
    }
    source_release(&source);
    vmx_release(&vmx);
    free(text);
    return 0;
}

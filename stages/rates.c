/* Rough times for the plan; see rates.h. Reading, compressing and writing go on side by side, so a
 * pass takes as long as the slowest of them.
 *
 * The rates are plain ones, of a server with a solid-state disk: not of this host, so that a plan
 * is the same wherever it is made, but for the number of workers. */
#include "rates.h"

#include "bytes.h"
#include "codec.h"

#include <string.h>
#include <unistd.h>

static const uint64_t read_rate = GIB;         /* an NVMe disk, hashed by one core with SHA-256 */
static const uint64_t write_rate = 400 * MIB;  /* a SATA disk, synced: 6 Gbit/s less the protocol */
static const uint64_t deflate_rate = 60 * MIB; /* of one worker: libdeflate at its usual level */
static const uint64_t zstd_rate = 200 * MIB;   /* of one worker: zstd at levels 1 to 3 */
enum { ZSTD_FAST_MAX = 3 };                    /* above, zstd is as slow as deflate, or slower */

static uint64_t encode_rate(const struct machine_run *m, const struct pass *p)
{
    uint64_t workers = m->job->policy.workers;
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    bool fast = !strcmp(p->coder->name, codec_zstd.name) && p->level <= ZSTD_FAST_MAX;

    if (!workers)
        workers = online > 0 ? (uint64_t)online : 1;
    return workers * (fast ? zstd_rate : deflate_rate);
}

static uint64_t ms_at(uint64_t bytes, uint64_t rate)
{
    return (uint64_t)((double)bytes / (double)rate * 1000);
}

uint64_t rates_guess(const struct machine_run *m, const struct pass *p)
{
    uint64_t ms = MAX(ms_at(p->reads, read_rate), ms_at(p->writes, write_rate));

    if (p->coder)
        ms = MAX(ms, ms_at(p->data, encode_rate(m, p)));
    if (m->job->policy.disk)
        ms = MAX(ms, ms_at(p->data, m->job->policy.disk));
    return ms;
}

uint64_t rates_seconds(uint64_t ms)
{
    return ms < 1000 ? 0 : (ms + 500) / 1000;
}

/* Progress; see progress.h. */
#include "progress.h"

#include "bytes.h"
#include "clock.h"
#include "print.h"
#include "text.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

enum {
    BAR_CELLS = 20,
    LABEL_MAX = 24, /* characters of a label beside the bar */
};

#define SECOND UINT64_C(1000000000)
static const uint64_t bar_after = SECOND / 2;    /* a command that is done sooner shows no bar */
static const uint64_t plain_every = 10 * SECOND; /* lines in a log file */
static const uint64_t sample_every = SECOND / 2; /* of the rate */
static const double smoothing = 0.2;             /* share of the newest sample: about 2.5 s */

void progress_init(struct progress *p, const struct cli *cli)
{
    enum progress_mode mode = (enum progress_mode)cli->progress;

    if (mode == PROGRESS_AUTO)
        mode = cli->quiet ? PROGRESS_NONE : isatty(STDERR_FILENO) ? PROGRESS_BAR : PROGRESS_PLAIN;
    *p = (struct progress){.mode = mode, .began = clock_mono()};
    p->told = p->began;
}

static void sample(struct progress *p, uint64_t now, uint64_t done, uint64_t resumed)
{
    uint64_t own = done > resumed ? done - resumed : 0;
    double rate;

    if (!p->sampled || own < p->sampled_done) {
        p->sampled = now;
        p->sampled_done = own;
        p->rate = 0;
        return;
    }
    if (now - p->sampled < sample_every)
        return;
    rate = (double)(own - p->sampled_done) * (double)SECOND / (double)(now - p->sampled);
    p->rate = p->rate > 0 ? p->rate + smoothing * (rate - p->rate) : rate;
    p->sampled = now;
    p->sampled_done = own;
}

void progress_text(struct buf *to, const char *label, uint64_t done, uint64_t total, uint64_t rate,
                   uint64_t eta, bool bar, unsigned width)
{
    AUTO(buf_release) struct buf line = {0};
    unsigned percent = total ? (unsigned)(100.0 * (double)MIN(done, total) / (double)total) : 0;

    buf_format(&line, bar ? "%.*s " : "%.*s: ", bar ? LABEL_MAX : 1000, label);
    if (bar && total) {
        buf_char(&line, '[');
        for (unsigned i = 0; i < BAR_CELLS; i++)
            buf_char(&line, i * 100 < percent * BAR_CELLS ? '#' : '.');
        buf_text(&line, "] ");
    }
    if (total)
        buf_format(&line, "%3u%%  %s of %s", percent, SIZE_TEXT(done), SIZE_TEXT(total));
    else
        buf_text(&line, SIZE_TEXT(done));
    if (rate)
        buf_format(&line, "  %s/s", SIZE_TEXT(rate));
    if (eta)
        buf_format(&line, "  %s left", duration_text(eta, (char[SIZE_TEXT_MAX]){0}));
    if (line.data)
        buf_add(to, line.data, width && line.len > width ? width : line.len);
}

void progress_show(struct progress *p, const char *label, uint64_t done, uint64_t total,
                   uint64_t resumed, uint64_t rate, uint64_t eta)
{
    AUTO(buf_release) struct buf line = {0};
    uint64_t now = clock_mono();
    unsigned width;

    if (p->mode == PROGRESS_NONE)
        return;
    sample(p, now, done, resumed);
    if (!rate)
        rate = (uint64_t)p->rate;
    if (!eta && rate && total > done)
        eta = div_up(total - done, rate);
    if (p->mode == PROGRESS_BAR) {
        if (now - p->began < bar_after)
            return;
        width = terminal_width(STDERR_FILENO);
        progress_text(&line, label, done, total, rate, eta, true, width ? width - 1 : 0);
        status_line(line.data ? line.data : "");
    } else if (now - p->told >= plain_every) {
        p->told = now;
        progress_text(&line, label, done, total, rate, eta, false, 0);
        tell("%s", line.data ? line.data : "");
    }
}

void progress_say(struct progress *p, const char *text)
{
    if (p->mode == PROGRESS_PLAIN)
        tell("%s", text);
}

void progress_end(struct progress *p)
{
    if (p->mode == PROGRESS_BAR)
        status_line(NULL);
}

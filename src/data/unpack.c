#include "data/unpack.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"

#ifdef PLAIT_HAVE_ZLIB
#include <zlib.h>
#endif
#ifdef PLAIT_HAVE_ZSTD
#include <zstd.h>
#endif

enum { INPUT = 256 << 10, COPY_STEP = 1 << 20 };

const char *const packing_names[PACKING_COUNT] = { "plain", "gzip", "zstd" };
const char *const packing_endings[PACKING_COUNT] = { "", ".gz", ".zst" };

struct unpacker {
    enum packing packing;
    int fd;
    const char *path;
    uint64_t offset; /* in the file, behind the input */
    unsigned char *input;
    size_t begin, end; /* input that is not used yet */
    bool over;         /* the file has ended */
    bool inside;       /* a member or frame has begun and not ended */
    bool any;          /* one has been there */
#ifdef PLAIT_HAVE_ZLIB
    z_stream gzip;
#endif
#ifdef PLAIT_HAVE_ZSTD
    ZSTD_DStream *zstd;
#endif
};

bool packing_is_built(enum packing packing)
{
    bool built[PACKING_COUNT] = { [PACKING_NONE] = true };
#ifdef PLAIT_HAVE_ZLIB
    built[PACKING_GZIP] = true;
#endif
#ifdef PLAIT_HAVE_ZSTD
    built[PACKING_ZSTD] = true;
#endif
    return built[packing];
}

/* ---- input ---- */

static int read_file(struct unpacker *u, void *bytes, size_t length, size_t *count)
{
    ssize_t n;
    do
        n = pread(u->fd, bytes, length, (off_t)u->offset);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return fail(ERR_IO, "%s: cannot read at byte %llu: %s", u->path, (unsigned long long)u->offset,
                    strerror(errno));
    u->offset += (uint64_t)n;
    u->over = n == 0;
    *count = (size_t)n;
    return OK;
}

static int read_plain(struct unpacker *u, char *bytes, size_t length, size_t *count)
{
    size_t n = 0;
    for (*count = 0; *count < length && !u->over; *count += n)
        TRY(read_file(u, bytes + *count, length - *count, &n));
    return OK;
}

#if defined(PLAIT_HAVE_ZLIB) || defined(PLAIT_HAVE_ZSTD)
/* Some input, unless the file has ended. */
static int refill(struct unpacker *u)
{
    if (u->begin < u->end || u->over)
        return OK;
    u->begin = 0;
    return read_file(u, u->input, INPUT, &u->end);
}

static int fail_at(const struct unpacker *u, const char *what)
{
    return fail(ERR_DATA, "%s: %s data is %s at byte %llu", u->path, packing_names[u->packing], what,
                (unsigned long long)(u->offset - (u->end - u->begin)));
}

static int fail_cut_off(const struct unpacker *u)
{
    int status = fail_at(u, "cut off");
    error_hint("was the file downloaded or written to its end?");
    return status;
}
#endif

/* ---- gzip ---- */

#ifdef PLAIT_HAVE_ZLIB
static int begin_gzip(struct unpacker *u)
{
    return inflateInit2(&u->gzip, 16 + MAX_WBITS) == Z_OK ? OK : fail(ERR_SYSTEM, "no memory for zlib");
}

/* Between members: zeros are passed over, anything but a member is refused. */
static int begin_member(struct unpacker *u)
{
    while (u->any && u->begin < u->end && u->input[u->begin] == 0) {
        u->begin++;
        TRY(refill(u));
    }
    if (u->begin == u->end)
        return OK;
    if (u->input[u->begin] != 0x1f)
        return fail_at(u, "followed by something else");
    inflateReset(&u->gzip);
    u->inside = u->any = true;
    return OK;
}

static int read_gzip(struct unpacker *u, char *bytes, size_t length, size_t *count)
{
    size_t done = 0;
    while (done < length) {
        TRY(refill(u));
        if (!u->inside)
            TRY(begin_member(u));
        if (!u->inside)
            break;
        if (u->begin == u->end)
            return fail_cut_off(u);
        size_t room = length - done < UINT32_MAX ? length - done : UINT32_MAX;
        u->gzip.next_in = u->input + u->begin;
        u->gzip.avail_in = (unsigned)(u->end - u->begin);
        u->gzip.next_out = (unsigned char *)bytes + done;
        u->gzip.avail_out = (unsigned)room;
        int result = inflate(&u->gzip, Z_NO_FLUSH);
        u->begin = u->end - u->gzip.avail_in;
        done += room - u->gzip.avail_out;
        if (result == Z_STREAM_END)
            u->inside = false;
        else if (result == Z_MEM_ERROR)
            return fail(ERR_SYSTEM, "no memory for zlib");
        else if (result != Z_OK && result != Z_BUF_ERROR)
            return fail_at(u, "damaged");
    }
    *count = done;
    return OK;
}
#endif

/* ---- zstd ---- */

#ifdef PLAIT_HAVE_ZSTD
static int begin_zstd(struct unpacker *u)
{
    u->zstd = ZSTD_createDStream();
    return u->zstd ? OK : fail(ERR_SYSTEM, "no memory for libzstd");
}

/* What a frame has ready may be more than was asked for: without input it is asked for all the same. */
static int read_zstd(struct unpacker *u, char *bytes, size_t length, size_t *count)
{
    ZSTD_outBuffer out = { .dst = bytes, .size = length };
    while (out.pos < length) {
        TRY(refill(u));
        if (u->begin == u->end && !u->inside)
            break;
        ZSTD_inBuffer in = { .src = u->input + u->begin, .size = u->end - u->begin };
        size_t before = out.pos, result = ZSTD_decompressStream(u->zstd, &out, &in);
        u->begin += in.pos;
        if (ZSTD_isError(result)) {
            int status = fail_at(u, "damaged");
            error_hint("libzstd says: %s", ZSTD_getErrorName(result));
            return status;
        }
        if (result != 0 && in.size == 0 && out.pos == before)
            return fail_cut_off(u);
        u->inside = result != 0;
    }
    *count = out.pos;
    return OK;
}
#endif

/* ---- either ---- */

#if !defined(PLAIT_HAVE_ZLIB) || !defined(PLAIT_HAVE_ZSTD)
static int fail_absent(const struct unpacker *u, const char *library)
{
    return fail(ERR_CONFIG, "%s: %s data, and this plait was built without %s", u->path,
                packing_names[u->packing], library);
}
#endif

#ifndef PLAIT_HAVE_ZLIB
static int begin_gzip(struct unpacker *u)
{
    return fail_absent(u, "zlib");
}
#endif
#ifndef PLAIT_HAVE_ZSTD
static int begin_zstd(struct unpacker *u)
{
    return fail_absent(u, "libzstd");
}
#endif

static int begin(struct unpacker *u)
{
    if (u->packing == PACKING_GZIP)
        return begin_gzip(u);
    return u->packing == PACKING_ZSTD ? begin_zstd(u) : OK;
}

int unpacker_create(enum packing packing, int fd, const char *path, struct unpacker **out)
{
    struct unpacker *u = mem_alloc(sizeof(*u));
    *u = (struct unpacker){ .packing = packing, .fd = fd, .path = path };
    int status = begin(u);
    if (status != OK) {
        mem_free(u);
        return status;
    }
    u->input = mem_alloc(packing == PACKING_NONE ? 1 : INPUT);
    *out = u;
    return OK;
}

void unpacker_free(struct unpacker *u)
{
    if (!u)
        return;
#ifdef PLAIT_HAVE_ZLIB
    if (u->packing == PACKING_GZIP)
        inflateEnd(&u->gzip);
#endif
#ifdef PLAIT_HAVE_ZSTD
    ZSTD_freeDStream(u->zstd);
#endif
    mem_free(u->input);
    mem_free(u);
}

int unpacker_read(struct unpacker *u, void *bytes, size_t length, size_t *count)
{
#ifdef PLAIT_HAVE_ZLIB
    if (u->packing == PACKING_GZIP)
        return read_gzip(u, bytes, length, count);
#endif
#ifdef PLAIT_HAVE_ZSTD
    if (u->packing == PACKING_ZSTD)
        return read_zstd(u, bytes, length, count);
#endif
    return read_plain(u, bytes, length, count);
}

int unpacker_copy(struct unpacker *u, int to, const char *to_path)
{
    char *buffer = mem_alloc(COPY_STEP);
    size_t count = 1;
    int status = OK;
    while (status == OK && count) {
        status = unpacker_read(u, buffer, COPY_STEP, &count);
        if (status == OK && count)
            status = fd_write(to, to_path, buffer, count);
    }
    mem_free(buffer);
    return status;
}

/* save -- writing a directory so that after a kill, a crash or a power cut there is the old state or the new
 * one, never a mix.
 *
 *     save_begin             .plait-tmp.NAME.PID/ is made inside the directory
 *     save_file_begin/_end   each file: written, checksummed on the way, synced
 *     save_commit            manifest.json last, directory synced, ONE rename to NAME, parent synced
 *     save_install           or: the files one by one into the directory itself, config.json last
 *     save_abort             all is removed
 *
 * Where several ranks write, one begins and commits; the others join it by the place that it tells them:
 *
 *     save_join              files are written as above, into the directory of the one that began
 *     save_report            as text, for save_take: which files there are now, and their checksums
 *
 * After any failure the save can only be aborted: a file whose fsync failed is lost, a later save writes new
 * ones. What a killed process left behind is recognised by its prefix and removed by checkpoint_clean. */
#ifndef PLAIT_CKPT_SAVE_H
#define PLAIT_CKPT_SAVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ckpt/manifest.h"
#include "ckpt/sink.h"

#define SAVE_PREFIX_TEMPORARY ".plait-tmp."
#define SAVE_PREFIX_DISPLACED ".plait-old."

struct save;

struct save_options {
    const char *directory; /* made when absent */
    const char *name;      /* of the checkpoint, "checkpoint-900"; for save_install any word */
    const char *run;       /* names the run; NULL: "" */
    int64_t step;
    bool manifest;  /* save_install: manifest.json too, so that the directory can be verified */
    uint64_t bytes; /* about what it will take on disk, checked now; 0: not known */
};

/* ERR_CREATE, also when the disk has not enough room. */
int save_begin(struct save **s, const struct save_options *o);
void save_abort(struct save *s); /* frees s; NULL is fine */

/* One file at a time. The sink belongs to the save and is good until _end. `name` is a plain file name, new
 * in this save. */
int save_file_begin(struct save *s, const char *name, enum manifest_kind kind, struct sink **sink);
/* `status`: how the writing went, returned when not OK. */
int save_file_end(struct save *s, int status);
int save_file(struct save *s, const char *name, enum manifest_kind kind, const void *bytes, size_t length);
/* Copies a file; links are followed. */
int save_file_copy(struct save *s, const char *name, enum manifest_kind kind, const char *from);

/* ---- several ranks ---- */
/* Where the files are being written. */
const char *save_place(const struct save *s);
void save_join(struct save **s, const char *place);
/* Frees s, whatever comes out. ERR_IO. */
int save_report(struct save *s, struct str *out);
/* What another rank has reported is part of this save. */
int save_take(struct save *s, const char *report, size_t length);

/* A word for the manifest: hashes of config, tokenizer and data, for example. */
void save_note(struct save *s, const char *key, const char *value);

/* Both free s, whatever comes out; on failure everything is removed. *path: of the checkpoint, freed by the
 * caller; NULL is fine. An old checkpoint of the same name is replaced. */
int save_commit(struct save *s, char **path);
int save_install(struct save *s);

/* ERR_CREATE with both figures when the file system of the directory has less room than `bytes`. `what`
 * begins the sentence's reason: "a checkpoint". The directory, or the nearest parent there is, is looked at.
 */
int save_check_space(const char *directory, uint64_t bytes, const char *what);

#endif

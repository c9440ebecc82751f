/* cluster -- what computing and communicating cost on the machines a plan is for, and how ranks lie on
 * them. */
#ifndef PLAIT_PLAN_CLUSTER_H
#define PLAIT_PLAN_CLUSTER_H

#include "base/str.h"
#include "core/placement.h"

/* Figures of zero: those of one ordinary host. */
struct cluster {
    double flops;           /* of one rank, per second */
    double memory_bytes;    /* moved per second by one rank */
    double link_bytes;      /* per second between ranks of a host, in and out of each */
    double message_seconds; /* for any message, however small */
    double host_link_bytes; /* the same between ranks on different hosts */
    double host_message_seconds;
    int hosts, host_ranks; /* ranks of a host, in rank order; 0: one host has all */
    double memory;         /* that one rank may take, in bytes; 0: not said */
};

/* All figures, the ordinary ones where there were none. */
struct cluster cluster_complete(const struct cluster *c);
/* As a transfer along this axis of a mesh sees it: the link is the slowest that it crosses. */
struct cluster cluster_on_axis(const struct cluster *c, const struct mesh *mesh, enum axis axis);

/* cluster_file.c: JSON (docs/FORMATS.md). ERR_OPEN, ERR_DATA, ERR_CONFIG for what cannot be. */
int cluster_load(struct cluster *c, const char *path);
struct json_writer;
void cluster_write(const struct cluster *c, struct json_writer *w);

/* How many hosts the ranks of w lie on. All processes call and get the same. */
struct world;
int cluster_find_hosts(struct cluster *c, const struct world *w, int ranks);
/* probe.c: measures these machines with all ranks working at once: threads of this process, or the processes
 * of a launcher, who all call and get the same. Takes a second or two. */
int cluster_probe(struct cluster *c, const struct world *w, int ranks);

#endif

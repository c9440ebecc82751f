#include "train/difference.h"

#include <math.h>

/* A second moment's root is large enough from this part of the largest of its tensor on. */
static const double DETERMINED = 1e-3;

double largest_root(const float *second, int64_t count)
{
    double most = 0;

    for (int64_t i = 0; i < count; i++)
        most = fmax(most, sqrt(fabs((double)second[i])));
    return most;
}

/* A change that is nothing but rounding of large values counts as that. */
double difference_of(const struct difference *d)
{
    double least = d->second ? fmax(DETERMINED * largest_root(d->second, d->count), d->least_root) : 0;
    double off = 0, change = 0;

    for (int64_t i = 0; i < d->count; i++) {
        double a = d->expected[i], b = d->found[i], before = d->before[i];
        if (d->second && sqrt(fabs((double)d->second[i])) < least)
            continue;
        off += (a - b) * (a - b);
        change += (a - before) * (a - before) + 1e-12 * a * a;
    }
    if (isnan(off))
        return INFINITY;
    return off > 0 ? sqrt(off) / fmax(fmax(sqrt(change), d->least_change), 1e-30) : 0;
}

/* clock -- time. Durations come from the monotonic clock only; the calendar is for stamps in files. */
#ifndef PLAIT_BASE_CLOCK_H
#define PLAIT_BASE_CLOCK_H

double clock_seconds(void);    /* monotonic, since an arbitrary start */
double clock_calendar(void);   /* seconds since 1970 */
double clock_since_exec(void); /* seconds since this process was started */

#endif

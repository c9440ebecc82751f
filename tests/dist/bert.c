#include <stddef.h>

#include "lib/dist_case.h"

int main(void)
{
    return dist_families((const char *const[]){ "bert", NULL });
}

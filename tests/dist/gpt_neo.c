#include <stddef.h>

#include "lib/dist_case.h"

int main(void)
{
    return dist_families((const char *const[]){ "gpt_neo", "gpt_neo_heads", NULL });
}

#include "lib/dist_case.h"

int main(void)
{
    return dist_family("llama");
}

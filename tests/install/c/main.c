/* A C host of an installed libhearth: the library answers with the version of its header. */
#include <hearth/hearth.h>
#include <stdio.h>

int main(void) {
    const unsigned version = hearth_version();
    printf("hearth from C: version number %u, status 0 is %s\n", version, hearth_status_name(HEARTH_OK));
    return hearth_status_name(HEARTH_OK) == NULL;
}

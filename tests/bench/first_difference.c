/* Comparing as a C library may do it: one octet after the other, until two differ. Loaded before the real one, so that every
   comparison of octets that ends early shows in the count, also one of 32 octets that this machine compares at once. */
#include <stddef.h>

int memcmp(const void *one, const void *other, size_t count) {
    const unsigned char *a = one, *b = other;
    for (size_t at = 0; at < count; at++)
        if (a[at] != b[at])
            return a[at] - b[at];
    return 0;
}

int bcmp(const void *one, const void *other, size_t count) {
    return memcmp(one, other, count);
}

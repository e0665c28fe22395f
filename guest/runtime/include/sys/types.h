#ifndef _SYS_TYPES_H
#define _SYS_TYPES_H

#include <stddef.h>

typedef long ssize_t;
typedef long long off_t;
typedef long long time_t;
typedef int clockid_t;

#endif

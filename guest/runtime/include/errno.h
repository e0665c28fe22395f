#ifndef _ERRNO_H
#define _ERRNO_H

extern int errno;

/* Linux' generic numbers. */
#define ENOENT 2
#define EIO 5
#define ENOMEM 12
#define EACCES 13
#define ENODEV 19
#define ENOTDIR 20
#define EINVAL 22
#define ENAMETOOLONG 36
#define ENOSYS 38
#define EPROTO 71
#define EMSGSIZE 90
#define EOPNOTSUPP 95

#endif

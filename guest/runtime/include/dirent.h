#ifndef _DIRENT_H
#define _DIRENT_H

#include <stdint.h>

/* As the kernel writes it. */
struct dirent {
  uint64_t d_ino;
  int64_t d_off;
  uint16_t d_reclen;
  uint8_t d_type;
  char d_name[256];
};

typedef struct {
  int fd;
  long at, end;
  uint64_t buffer[128];
} DIR;

DIR *opendir(const char *path);
struct dirent *readdir(DIR *list);
int closedir(DIR *list);

#endif

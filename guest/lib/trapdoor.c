/* Trapdoor's guest library; include/trapdoor.h says what it does, trapdoor_protocol.h how. */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L /* O_CLOEXEC under -std=c99 */
#endif
#include "trapdoor.h"

#if TRAPDOOR_HOSTED
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#endif

/* How calls are made. The areas are attached by the instruction, mapped, or simply there. */
enum transport { NONE, INSTRUCTION, MAPPED };
enum areas { ATTACHED, FILES, PLACED };

static struct {
  enum transport transport;
  enum areas areas;
  unsigned max_clients;
  unsigned num_args;
  uint32_t version;
  unsigned char *data;
  size_t client_data_size;
  unsigned char *control;
#if TRAPDOOR_HOSTED
  void *config;
  size_t data_size;
  size_t control_size;
#endif
} channel;

static int last_status[TRAPDOOR_CLIENT_LIMIT];

struct trapdoor_ring_ trapdoor_rings_[TRAPDOOR_CLIENT_LIMIT];

/* ---- Failures ---- */

/* One more than the protocol's statuses: an event larger than the ring. */
#define STATUS_TOO_LARGE 0x100

/* Returns -1 and sets the errno that says `status`. */
static int fail(int status) {
#if TRAPDOOR_HOSTED
  switch (status) {
    case TRAPDOOR_STATUS_UNKNOWN: errno = ENOSYS; break;
    case TRAPDOOR_STATUS_THREW: errno = EIO; break;
    case TRAPDOOR_STATUS_INVALID: errno = EINVAL; break;
    case TRAPDOOR_STATUS_UNSUPPORTED: errno = EOPNOTSUPP; break;
    case TRAPDOOR_STATUS_NOBODY: errno = ENODEV; break;
    case STATUS_TOO_LARGE: errno = EMSGSIZE; break;
    default: errno = EPROTO; break;
  }
#else
  (void)status;
#endif
  return -1;
}

static unsigned char *fail_null(int status) {
  fail(status);
  return NULL;
}

/* ---- Opening and closing ---- */

static uint64_t config_word(const volatile unsigned char *config, unsigned offset) {
  return *(const volatile uint64_t *)(config + offset);
}

static int same_major(uint32_t version) {
  return version >> 16 == (uint32_t)TRAPDOOR_PROTOCOL_VERSION >> 16;
}

/* Whether the config area is one that this library can work with; sets the version even if it isn't. */
static int read_version(const volatile unsigned char *config) {
  static const char magic[] = TRAPDOOR_CONFIG_MAGIC_BYTES;
  unsigned i;
  channel.version = 0;
  for (i = 0; i < sizeof magic - 1; i++) {
    if (config[TRAPDOOR_CONFIG_MAGIC + i] != (unsigned char)magic[i]) return 0;
  }
  channel.version = (uint32_t)config_word(config, TRAPDOOR_CONFIG_VERSION);
  return same_major(channel.version);
}

/* Takes the host's layout over, or returns 0 if it contradicts itself: then nothing was taken. */
static int adopt(const volatile unsigned char *config, unsigned char *data, unsigned char *control) {
  uint64_t clients = config_word(config, TRAPDOOR_CONFIG_MAX_CLIENTS);
  const uint64_t client_data = config_word(config, TRAPDOOR_CONFIG_CLIENT_DATA_SIZE);
  const uint64_t data_size = config_word(config, TRAPDOOR_CONFIG_DATA_SIZE);
  const uint64_t ring_offset = config_word(config, TRAPDOOR_CONFIG_RING_OFFSET);
  const uint64_t stride = config_word(config, TRAPDOOR_CONFIG_RING_STRIDE);
  const uint64_t ring_size = config_word(config, TRAPDOOR_CONFIG_RING_SIZE);
  unsigned i;
  if (clients > TRAPDOOR_CLIENT_LIMIT) clients = TRAPDOOR_CLIENT_LIMIT;
  /* Within these bounds the products below cannot overflow. */
  if (clients == 0 || data_size > SIZE_MAX || data_size > UINT64_MAX / 256) return 0;
  if (client_data > data_size || stride > data_size) return 0;
  if (client_data * clients > data_size || stride * clients > data_size) return 0;
  if (ring_offset > data_size - stride * clients) return 0;
  if (config_word(config, TRAPDOOR_CONFIG_CONTROL_SIZE) < clients * TRAPDOOR_CONTROL_SIZE) return 0;
  if (ring_size < 64 || ring_size > 0x40000000 || (ring_size & (ring_size - 1)) != 0) return 0;
  if (ring_offset % 8 != 0 || stride % 8 != 0 || stride < TRAPDOOR_RING_BUFFER + ring_size) return 0;
  for (i = 0; i < clients; i++) {
    struct trapdoor_ring_ *ring = &trapdoor_rings_[i];
    ring->header = (volatile uint32_t *)(data + ring_offset + i * stride);
    ring->mask = (int32_t)ring_size - 1;
    ring->limit = ring->header[TRAPDOOR_RING_HEAD / 4]; /* No room known yet: the first event looks. */
    last_status[i] = TRAPDOOR_STATUS_NOBODY;
  }
  channel.max_clients = (unsigned)clients;
  channel.num_args = (unsigned)config_word(config, TRAPDOOR_CONFIG_NUM_ARGS);
  channel.data = data;
  channel.client_data_size = (size_t)client_data;
  channel.control = control;
  return 1;
}

/* Asks over the instruction who is there; keeps the version. */
static int hello(void) {
  unsigned long arg[6] = {TRAPDOOR_PROTOCOL_VERSION, 0, 0, 0, 0, 0};
  const int status = (int)trapdoor_request_(TRAPDOOR_KIND_HELLO, arg);
  if (status == TRAPDOOR_STATUS_OK || status == TRAPDOOR_STATUS_VERSION) {
    channel.version = (uint32_t)arg[0];
  }
  if (status == TRAPDOOR_STATUS_OK && !same_major(channel.version)) return TRAPDOOR_STATUS_VERSION;
  return status;
}

static void detach(void) {
  unsigned long arg[6] = {0, 0, 0, 0, 0, 0};
  trapdoor_request_(TRAPDOOR_KIND_DETACH, arg);
}

/* Returns a status. */
static int attach(void) {
  unsigned long arg[6] = {0, 0, 0, 0, 0, 0};
  const unsigned char *config;
  const int status = (int)trapdoor_request_(TRAPDOOR_KIND_ATTACH, arg);
  if (status != TRAPDOOR_STATUS_OK) return status;
  config = (const unsigned char *)arg[0];
  if (!read_version(config) ||
      !adopt(config, (unsigned char *)arg[1], (unsigned char *)arg[2])) {
    detach();
    return TRAPDOOR_STATUS_VERSION;
  }
  channel.areas = ATTACHED;
  channel.transport = INSTRUCTION;
  return TRAPDOOR_STATUS_OK;
}

/* Opens a channel whose areas can be accessed at these addresses. Returns a status. */
static int open_at(void *config, void *data, void *control) {
  const volatile unsigned char *from = (const volatile unsigned char *)config;
  if (!read_version(from)) return channel.version ? TRAPDOOR_STATUS_VERSION : TRAPDOOR_STATUS_NOBODY;
  if (!control) control = (unsigned char *)config + TRAPDOOR_CONFIG_SIZE;
  if (!data) data = (unsigned char *)control + config_word(from, TRAPDOOR_CONFIG_CONTROL_SIZE);
  if (!adopt(from, (unsigned char *)data, (unsigned char *)control)) return TRAPDOOR_STATUS_VERSION;
  channel.areas = PLACED;
  channel.transport = MAPPED;
  return TRAPDOOR_STATUS_OK;
}

#if TRAPDOOR_HOSTED

/* Longest path that is made here. */
#define PATH_SIZE 256

/* What a driver of the areas' files looks like: three files under a folder, or three places of one file. */
struct source {
  const char *base;
  const char *names[3]; /* config, data, control; NULL: the base itself. */
  off_t offsets[3];
};

/* Writes base/name into `path`; 0 if it is too long. */
static int join(char *path, const char *base, const char *name) {
  size_t n = 0;
  for (; *base && n < PATH_SIZE - 1; n++) path[n] = *base++;
  if (name) {
    if (n < PATH_SIZE - 1) path[n++] = '/';
    for (; *name && n < PATH_SIZE - 1; n++) path[n] = *name++;
  }
  path[n] = 0;
  if (n < PATH_SIZE - 1) return 1;
  errno = ENAMETOOLONG;
  return 0;
}

static int open_file(const char *base, const char *name, int flags) {
  char path[PATH_SIZE];
  return join(path, base, name) ? open(path, flags | O_CLOEXEC) : -1;
}

/* Reads up to `size` bytes of base/name; how many, or -1. */
static ssize_t read_file(const char *base, const char *name, void *to, size_t size) {
  const int fd = open_file(base, name, O_RDONLY);
  ssize_t count;
  int error;
  if (fd < 0) return -1;
  count = read(fd, to, size);
  error = errno;
  close(fd);
  errno = error;
  return count;
}

/* Maps an area. NULL and errno if that fails. */
static void *map_area(const struct source *source, int area, size_t size) {
  const int fd = open_file(source->base, source->names[area], area != 0 ? O_RDWR : O_RDONLY);
  void *address;
  int error;
  if (fd < 0) return NULL;
  address = mmap(NULL, size, area != 0 ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd,
                 source->offsets[area]);
  error = errno;
  close(fd);
  errno = error;
  return address == MAP_FAILED ? NULL : address;
}

static void unmap(void *address, size_t size) {
  const int error = errno;
  if (address) munmap(address, size);
  errno = error;
}

/* Maps all areas. 0, or -1 and errno. */
static int init_source(const struct source *source) {
  void *config = map_area(source, 0, TRAPDOOR_CONFIG_SIZE), *data = NULL, *control = NULL;
  uint64_t data_size = 0, control_size = 0;
  if (!config) return -1;
  if (!read_version((unsigned char *)config)) {
    errno = EPROTO;
  } else {
    data_size = config_word((unsigned char *)config, TRAPDOOR_CONFIG_DATA_SIZE);
    control_size = config_word((unsigned char *)config, TRAPDOOR_CONFIG_CONTROL_SIZE);
    if (data_size == 0 || data_size > SIZE_MAX || control_size == 0 || control_size > SIZE_MAX) {
      errno = EPROTO;
    } else if ((data = map_area(source, 1, (size_t)data_size)) &&
               (control = map_area(source, 2, (size_t)control_size))) {
      if (adopt((unsigned char *)config, (unsigned char *)data, (unsigned char *)control)) {
        channel.config = config;
        channel.data_size = (size_t)data_size;
        channel.control_size = (size_t)control_size;
        channel.areas = FILES;
        channel.transport = MAPPED;
        return 0;
      }
      errno = EPROTO;
    }
  }
  unmap(control, (size_t)control_size);
  unmap(data, (size_t)data_size);
  unmap(config, TRAPDOOR_CONFIG_SIZE);
  return -1;
}

static void fini_mapped(void) {
  unmap(channel.control, channel.control_size);
  unmap(channel.data, channel.data_size);
  unmap(channel.config, TRAPDOOR_CONFIG_SIZE);
}

/* The files that Trapdoor's user mode shows. */
static int init_files(const char *base) {
  const struct source source = {base, {"config", "data", "control"}, {0, 0, 0}};
  return init_source(&source);
}

/* A PCI device's folder in sysfs. */
static int init_pci(const char *base) {
  const struct source source = {base, {"resource0", "resource1", "resource2"}, {0, 0, 0}};
  /* Without a driver nobody has switched its memory on. Who may not do that may still map it if it is on. */
  const int fd = open_file(base, "enable", O_WRONLY);
  if (fd >= 0) {
    const ssize_t written = write(fd, "1", 1);
    (void)written;
    close(fd);
  }
  return init_source(&source);
}

/* Whether a file of sysfs holds this number: "0x1af4\n". */
static int has_number(const char *base, const char *name, unsigned number) {
  char text[8];
  unsigned value = 0;
  int i;
  if (read_file(base, name, text, sizeof text) < 6) return 0;
  for (i = 2; i < 6; i++) value = value << 4 | (unsigned)(text[i] <= '9' ? text[i] - '0' : text[i] - 'a' + 10);
  return value == number;
}

/* Looks for the PCI device. 0, or -1 and errno; ENODEV: there is none. */
static int find_pci(void) {
  static const char folder[] = "/sys/bus/pci/devices";
  DIR *list = opendir(folder);
  struct dirent *entry;
  int result = -1, error = ENODEV;
  while (result != 0 && list && (entry = readdir(list))) {
    char base[PATH_SIZE];
    if (entry->d_name[0] == '.' || !join(base, folder, entry->d_name)) continue;
    if (!has_number(base, "vendor", TRAPDOOR_PCI_VENDOR) ||
        !has_number(base, "device", TRAPDOOR_PCI_DEVICE) ||
        !has_number(base, "subsystem_vendor", TRAPDOOR_PCI_SUBSYSTEM_VENDOR)) {
      continue;
    }
    result = init_pci(base);
    error = errno;
  }
  if (list) closedir(list);
  errno = error;
  return result;
}

/* The platform device: its place is in the device tree, its registers are in the memory that `base` is a file of. */
static int init_platform(const char *base) {
  static const char folder[] = "/sys/firmware/devicetree/base/soc";
  static const char prefix[] = "trapdoor@";
  DIR *list = opendir(folder);
  struct dirent *entry;
  unsigned char reg[48];
  int found = 0, i, j;
  struct source source = {base, {NULL, NULL, NULL}, {0, 0, 0}};
  while (!found && list && (entry = readdir(list))) {
    char path[PATH_SIZE];
    for (i = 0; prefix[i] && entry->d_name[i] == prefix[i]; i++) {}
    found = !prefix[i] && join(path, folder, entry->d_name) &&
            read_file(path, "reg", reg, sizeof reg) == (ssize_t)sizeof reg;
  }
  if (list) closedir(list);
  if (!found) {
    errno = ENODEV;
    return -1;
  }
  /* Address and size, big-endian, of config, control and data. */
  for (i = 0; i < 3; i++) {
    uint64_t address = 0;
    for (j = 0; j < 8; j++) address = address << 8 | reg[16 * i + j];
    source.offsets[i == 0 ? 0 : 3 - i] = (off_t)address;
  }
  return init_source(&source);
}

static int init_mapped(const char *base) {
  const int fd = open_file(base, "resource0", O_RDONLY);
  if (fd >= 0) {
    close(fd);
    return init_pci(base);
  }
  if (init_files(base) == 0) return 0;
  if (errno == ENOTDIR && init_platform(base) == 0) return 0;
  if (errno == ENOENT || errno == ENOTDIR) errno = ENODEV;
  return -1;
}

/* Looks everywhere. The error is the last one but ENODEV. */
static int find_mapped(void) {
  int error = ENODEV, step;
  for (step = 0; step < 3; step++) {
    const int result = step == 0   ? init_mapped(TRAPDOOR_DEFAULT_BASE_PATH)
                       : step == 1 ? find_pci()
                                   : init_platform("/dev/mem");
    if (result == 0) return 0;
    if (errno != ENODEV && error == ENODEV) error = errno;
  }
  errno = error;
  return -1;
}

#else

static int init_mapped(const char *base) {
  (void)base;
  return fail(TRAPDOOR_STATUS_NOBODY);
}

static int find_mapped(void) { return fail(TRAPDOOR_STATUS_NOBODY); }

static void fini_mapped(void) {}

#endif

/* ---- Flattened device trees (Devicetree Specification 0.4, chapter 5) ---- */

static uint32_t big_endian(const unsigned char *at) {
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static int same_text(const char *a, const char *b) {
  while (*a && *a == *b) {
    a++;
    b++;
  }
  return *a == *b;
}

int trapdoor_init_tree(const void *tree) {
  enum { BEGIN_NODE = 1, END_NODE = 2, PROP = 3, NOP = 4 };
  const unsigned char *bytes = (const unsigned char *)tree, *at, *end, *reg = NULL;
  const char *strings;
  uint32_t length = 0;
  int ours = 0, i;
  void *areas[3];
  if (channel.transport != NONE) return 0;
  if (!bytes || big_endian(bytes) != 0xd00dfeedu) return fail(TRAPDOOR_STATUS_INVALID);
  at = bytes + big_endian(bytes + 8);
  strings = (const char *)bytes + big_endian(bytes + 12);
  end = at + big_endian(bytes + 36);
  while (at + 4 <= end) {
    const uint32_t token = big_endian(at);
    at += 4;
    if (token == BEGIN_NODE) {
      const unsigned char *name = at;
      while (*at) at++;
      at = name + ((size_t)(at - name) / 4 + 1) * 4;
      ours = 0;
      reg = NULL;
    } else if (token == PROP) {
      const char *name = strings + big_endian(at + 4);
      length = big_endian(at);
      at += 8;
      if (same_text(name, "compatible") && same_text((const char *)at, "trapdoor,channel")) ours = 1;
      /* Config, control and data: address and size, two cells each. */
      if (same_text(name, "reg") && length == 48) reg = at;
      at += (length + 3) / 4 * 4;
    } else if (token != END_NODE && token != NOP) {
      break;
    }
    if (ours && reg) {
      for (i = 0; i < 3; i++) areas[i] = (void *)(uintptr_t)big_endian(reg + 16 * i + 4);
      if (sizeof(uintptr_t) > 4) {
        for (i = 0; i < 3; i++) {
          areas[i] = (void *)((uintptr_t)areas[i] | (uintptr_t)((uint64_t)big_endian(reg + 16 * i) << 32));
        }
      }
      return trapdoor_init_at(areas[0], areas[1], areas[2]);
    }
  }
  return fail(TRAPDOOR_STATUS_NOBODY);
}

int trapdoor_init_at(void *config, void *control, void *data) {
  int status;
  if (channel.transport != NONE) return 0;
  status = open_at(config, data, control);
  return status == TRAPDOOR_STATUS_OK ? 0 : fail(status);
}

int trapdoor_init(const char *base) {
  int status, instruction;
  if (channel.transport != NONE) return 0;
  if (base) return init_mapped(base);
  status = hello();
  instruction = status == TRAPDOOR_STATUS_OK;
  if (instruction) status = attach();
  if (status == TRAPDOOR_STATUS_OK) return 0;
  /* A host may answer the instruction but have its areas elsewhere. */
  if (status != TRAPDOOR_STATUS_NOBODY && status != TRAPDOOR_STATUS_UNSUPPORTED) return fail(status);
  if (find_mapped() != 0) return -1;
  /* Calls by the instruction leave fewer traces on the way. */
  if (instruction) channel.transport = INSTRUCTION;
  return 0;
}

void trapdoor_fini(void) {
  unsigned i;
  if (channel.transport == NONE) return;
  for (i = 0; i < channel.max_clients; i++) {
    volatile uint32_t *header = trapdoor_rings_[i].header;
    if (header[TRAPDOOR_RING_HEAD / 4] != header[TRAPDOOR_RING_TAIL / 4]) trapdoor_flush(i);
    trapdoor_rings_[i].header = NULL;
  }
  if (channel.areas == FILES) fini_mapped();
  else if (channel.areas == ATTACHED) detach();
  channel.transport = NONE;
  channel.max_clients = channel.num_args = 0;
  channel.version = 0;
  channel.client_data_size = 0;
}

/* ---- What is there ---- */

int trapdoor_present(void) { return trapdoor_version() != 0; }

uint32_t trapdoor_version(void) {
  return channel.transport != NONE ? channel.version : trapdoor_raw_hello();
}

unsigned trapdoor_max_clients(void) { return channel.max_clients; }

unsigned trapdoor_num_args(void) { return channel.num_args; }

size_t trapdoor_data_size(void) { return channel.client_data_size; }

void *trapdoor_data(unsigned client) {
  return client < channel.max_clients ? channel.data + client * channel.client_data_size : NULL;
}

volatile uint64_t *trapdoor_control(unsigned client) {
  if (client >= channel.max_clients) return NULL;
  return (volatile uint64_t *)(channel.control + client * TRAPDOOR_CONTROL_SIZE);
}

/* ---- Calls ---- */

/* Rings a slot's doorbell and returns the status. One 32-bit store: two of them would be two calls. */
static int ring_doorbell(volatile uint64_t *slot, uint32_t value) {
  slot[TRAPDOOR_CONTROL_STATUS / 8] = ~(uint64_t)0;
  TRAPDOOR_BARRIER();
  *(volatile uint32_t *)(slot + TRAPDOOR_CONTROL_DOORBELL / 8) = value;
  TRAPDOOR_BARRIER();
  return (int)(int64_t)slot[TRAPDOOR_CONTROL_STATUS / 8];
}

int trapdoor_invoke(unsigned client, uint32_t command, const uint64_t args[4], uint64_t *result) {
  int status;
  if (channel.transport == NONE) return TRAPDOOR_STATUS_NOBODY;
  if (client >= channel.max_clients) return TRAPDOOR_STATUS_INVALID;
  if (channel.transport == INSTRUCTION) {
    status = trapdoor_raw_invoke(client, command, args, result);
  } else {
    volatile uint64_t *slot = trapdoor_control(client);
    int i;
    slot[TRAPDOOR_CONTROL_COMMAND / 8] = command;
    for (i = 0; i < TRAPDOOR_NUM_ARGS; i++) slot[TRAPDOOR_CONTROL_ARGS / 8 + i] = args[i];
    status = ring_doorbell(slot, TRAPDOOR_DOORBELL_CALL);
    if (status == TRAPDOOR_STATUS_OK && result) *result = slot[TRAPDOOR_CONTROL_RESULT / 8];
  }
  last_status[client] = status;
  return status;
}

int64_t trapdoor_call4(unsigned client, uint32_t command, int64_t a, int64_t b, int64_t c, int64_t d) {
  const uint64_t args[4] = {(uint64_t)a, (uint64_t)b, (uint64_t)c, (uint64_t)d};
  uint64_t result = 0;
  const int status = trapdoor_invoke(client, command, args, &result);
  return status == TRAPDOOR_STATUS_OK ? (int64_t)result : fail(status);
}

int64_t trapdoor_call(unsigned client, uint32_t command, int64_t arg) {
  return trapdoor_call4(client, command, arg, 0, 0, 0);
}

int trapdoor_status(unsigned client) {
  if (channel.transport == NONE) return TRAPDOOR_STATUS_NOBODY;
  return client < channel.max_clients ? last_status[client] : TRAPDOOR_STATUS_INVALID;
}

/* ---- The ring ---- */

static int flush(unsigned client) {
  unsigned long arg[6] = {0, 0, 0, 0, 0, 0};
  if (channel.transport == MAPPED) {
    return ring_doorbell(trapdoor_control(client), TRAPDOOR_DOORBELL_FLUSH);
  }
  arg[0] = client;
  return (int)trapdoor_request_(TRAPDOOR_KIND_FLUSH, arg);
}

int trapdoor_flush(unsigned client) {
  int status = TRAPDOOR_STATUS_NOBODY;
  if (channel.transport != NONE) {
    status = client < channel.max_clients ? flush(client) : TRAPDOOR_STATUS_INVALID;
  }
  return status == TRAPDOOR_STATUS_OK ? 0 : fail(status);
}

static void write_header(unsigned char *record, uint32_t size, uint32_t command) {
  *(uint64_t *)(void *)record = (uint64_t)command << 32 | size;
}

static void publish(struct trapdoor_ring_ *ring, uint32_t head) {
  TRAPDOOR_BARRIER();
  ring->header[TRAPDOOR_RING_HEAD / 4] = head;
}

/* Finds room for a record of `size` bytes that doesn't cross the buffer's end; flushes as often as it must. */
static unsigned char *reserve(unsigned client, uint32_t size) {
  struct trapdoor_ring_ *ring = &trapdoor_rings_[client];
  unsigned char *buffer = (unsigned char *)((uintptr_t)ring->header + TRAPDOOR_RING_BUFFER);
  for (;;) {
    const uint32_t head = ring->header[TRAPDOOR_RING_HEAD / 4];
    const uint32_t tail = ring->header[TRAPDOOR_RING_TAIL / 4];
    const uint32_t capacity = (uint32_t)ring->mask + 1, used = head - tail;
    const uint32_t position = head & (uint32_t)ring->mask, to_end = capacity - position;
    const uint32_t free = used <= capacity ? capacity - used : 0;
    int status;
    ring->limit = head + (free < to_end ? free : to_end);
    if (position % 8 != 0) return fail_null(TRAPDOOR_STATUS_VERSION);
    if (size <= to_end && size <= free) return buffer + position;
    if (size > to_end && to_end <= free) {
      write_header(buffer + position, to_end, TRAPDOOR_RING_PAD);
      publish(ring, head + to_end);
      continue;
    }
    /* A callback that throws still drains the ring; a host that doesn't must not keep us here for ever. */
    status = flush(client);
    if (ring->header[TRAPDOOR_RING_TAIL / 4] == tail) {
      return fail_null(status == TRAPDOOR_STATUS_OK ? TRAPDOOR_STATUS_THREW : status);
    }
  }
}

/* Copies without calling memcpy, which a freestanding program may not have. */
static void copy(volatile unsigned char *to, const unsigned char *from, size_t size) {
  while (size-- > 0) *to++ = *from++;
}

/* The slow half of trapdoor_event2, and the checks of both. NULL and errno if the event can't be. */
static unsigned char *begin(unsigned client, uint32_t command, size_t size) {
  uint32_t rounded;
  unsigned char *record;
  if (channel.transport == NONE) return fail_null(TRAPDOOR_STATUS_NOBODY);
  if (client >= channel.max_clients || command == TRAPDOOR_RING_PAD) {
    return fail_null(TRAPDOOR_STATUS_INVALID);
  }
  if (size > (size_t)trapdoor_rings_[client].mask + 1 - TRAPDOOR_RING_RECORD_HEADER) {
    return fail_null(STATUS_TOO_LARGE);
  }
  rounded = TRAPDOOR_RING_RECORD_HEADER + (((uint32_t)size + 7) & ~(uint32_t)7);
  record = reserve(client, rounded);
  if (record) write_header(record, rounded, command);
  return record;
}

static int end(unsigned client, const unsigned char *record) {
  struct trapdoor_ring_ *ring = &trapdoor_rings_[client];
  publish(ring, ring->header[TRAPDOOR_RING_HEAD / 4] + *(const uint32_t *)(const void *)record);
  return 0;
}

int trapdoor_event(unsigned client, uint32_t command, const void *payload, size_t size) {
  static const unsigned char zero[8];
  unsigned char *record;
  if (!payload && size > 0) return fail(TRAPDOOR_STATUS_INVALID);
  record = begin(client, command, size);
  if (!record) return -1;
  copy(record + TRAPDOOR_RING_RECORD_HEADER, (const unsigned char *)payload, size);
  copy(record + TRAPDOOR_RING_RECORD_HEADER + size, zero, (8 - size % 8) % 8);
  return end(client, record);
}

int trapdoor_event2_slow_(unsigned client, uint32_t command, uint64_t a, uint64_t b) {
  unsigned char *record = begin(client, command, 16);
  if (!record) return -1;
  ((uint64_t *)(void *)record)[1] = a;
  ((uint64_t *)(void *)record)[2] = b;
  return end(client, record);
}

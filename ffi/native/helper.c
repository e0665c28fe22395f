/*
 * The native helper: loads translations and runs them, going from one to the next until an exit.
 *
 * It has one exported function, because looking up a symbol is what costs when a library is opened. Nothing calls
 * back: whatever is not the fast path leaves with all guest state in the arena. Compiled after layout.h, platform.h and
 * unit.h.
 */
#include <stdlib.h>
#include <string.h>

/* ---- contexts ---- */

struct entry {
  u32 pc;
  const struct trapdoor_unit *unit;
};

struct loaded {
  void *library; /* NULL: free */
  const struct trapdoor_unit *unit;
};

/* One CPU's translations. */
struct context {
  u8 *arena;
  struct loaded *units;
  u32 unit_count;
  struct entry *entries; /* open addressing; a free one has no unit */
  u32 mask;              /* number of entries - 1 */
};

static u32 slot_of(const struct context *c, u32 pc) {
  u32 i = pc * 0x9e3779b1u >> 7 & c->mask;
  while (c->entries[i].unit && c->entries[i].pc != pc) i = (i + 1) & c->mask;
  return i;
}

/* Builds the table of entries from the loaded translations, of which later ones count. 0 without memory. */
static int rebuild(struct context *c) {
  u32 count = 0, size = 64, i, j;
  struct entry *entries;
  for (i = 0; i < c->unit_count; i++) {
    if (c->units[i].library) count += c->units[i].unit->count;
  }
  while (size < count * 4) size *= 2;
  entries = calloc(size, sizeof *entries);
  if (!entries) return 0;
  free(c->entries);
  c->entries = entries;
  c->mask = size - 1;
  for (i = 0; i < c->unit_count; i++) {
    const struct trapdoor_unit *unit = c->units[i].unit;
    if (!c->units[i].library) continue;
    for (j = 0; j < unit->count; j++) {
      struct entry *entry = &entries[slot_of(c, unit->entries[j])];
      entry->pc = unit->entries[j];
      entry->unit = unit;
    }
  }
  return 1;
}

static void say(struct context *c, const char *text) {
  size_t length = strlen(text);
  if (length >= PATH_BYTES) length = PATH_BYTES - 1;
  memcpy(c->arena + PATH_OFFSET, text, length);
  c->arena[PATH_OFFSET + length] = 0;
}

static u32 load(struct context *c) {
  const char *path = (const char *)c->arena + PATH_OFFSET;
  const struct trapdoor_unit *unit;
  struct loaded *units;
  void *library;
  u32 i;
  if (!memchr(path, 0, PATH_BYTES)) return 0;
  library = library_open(path);
  if (!library) {
    say(c, library_error());
    return 0;
  }
  unit = library_symbol(library, "trapdoor_unit");
  if (!unit || unit->abi != TRAPDOOR_ABI || unit->layout != LAYOUT_HASH) {
    library_close(library);
    say(c, "not a translation for this version");
    return 0;
  }
  for (i = 0; i < c->unit_count && c->units[i].library; i++) {}
  if (i == c->unit_count) {
    units = realloc(c->units, (i + 1) * sizeof *units);
    if (!units) {
      library_close(library);
      say(c, "out of memory");
      return 0;
    }
    c->units = units;
    c->unit_count = i + 1;
  }
  c->units[i].library = library;
  c->units[i].unit = unit;
  if (!rebuild(c)) {
    c->units[i].library = NULL;
    library_close(library);
    say(c, "out of memory");
    return 0;
  }
  return i + 1;
}

static u32 unload(struct context *c, u32 handle) {
  u32 i;
  if (handle == 0 || handle > c->unit_count || !c->units[handle - 1].library) return 1;
  library_close(c->units[handle - 1].library);
  c->units[handle - 1].library = NULL;
  if (rebuild(c)) return 0;
  /* Without memory for a new table, nothing is found in the old one. */
  for (i = 0; i <= c->mask; i++) c->entries[i].unit = NULL;
  return 1;
}

static void close_context(struct context *c) {
  u32 i;
  for (i = 0; i < c->unit_count; i++) {
    if (c->units[i].library) library_close(c->units[i].library);
  }
  free(c->units);
  free(c->entries);
  free(c);
}

/* ---- running ---- */

/* The translation for the guest address in the cell, if its address was entered for this context of the guest. */
static const struct trapdoor_unit *system_target(const struct context *c) {
  const u32 *words = (const u32 *)(const void *)c->arena;
  u32 low = words[EXIT_PC_SLOT * 2], high = words[EXIT_PC_SLOT * 2 + 1];
  u32 bank = words[CONTEXT_WORD] & (TLB_CONTEXTS - 1);
  const u32 *target = words + TARGETS_OFFSET / 4 +
    (bank * TARGET_ENTRIES + (low >> 1 & (TARGET_ENTRIES - 1))) * 4;
  u32 handle = target[2];
  if (target[0] != low || target[1] != high) return NULL;
  if (handle == 0 || handle > c->unit_count || !c->units[handle - 1].library) return NULL;
  return c->units[handle - 1].unit;
}

static u32 run(const struct context *c, u32 pc, int system) {
  u8 *arena = c->arena;
  i32 *fuel = (i32 *)(void *)arena + FUEL_WORD;
  u32 *flags = (u32 *)(void *)(arena + FP_FLAGS_SLOT * 8);
  const u32 *mode = (const u32 *)(const void *)(arena + FP_RM_SLOT * 8);
  u32 raised, floats = 0;
  environment saved;
  for (;;) {
    const struct trapdoor_unit *unit = system ? system_target(c) : c->entries[slot_of(c, pc)].unit;
    i32 before = *fuel;
    if (!unit) break;
    if (unit->floats && !floats) {
      /* Only now: it costs as much as the rest of a short stay. */
      enter_float(&saved, *mode);
    }
    floats |= unit->floats;
    pc = unit->run(arena, pc);
    /* Without progress its first instruction is the interpreter's. */
    if (*fuel < 0 || *fuel == before || pc >> 31) break;
  }
  if (!floats) return pc;
  raised = leave_float(&saved) & floats;
  if (raised & ~*flags) {
    *flags |= raised;
    *(u32 *)(void *)(arena + FP_FAST_SLOT * 8) = *mode == 0 && (*flags & 1);
  }
  return pc;
}

static void reply(u8 *arena, u64 value) { memcpy(arena + REPLY_OFFSET, &value, 8); }

/*
 * The one function. `pointer` is the arena for HANDSHAKE and OPEN, else the context. A far address (see EXIT_PC_SLOT) has
 * no translation, so that running ends there. All answers but a context have 32 bits.
 */
EXPORT u64 trapdoor(void *pointer, u32 command, u32 argument) {
  struct context *c = pointer;
  switch (command) {
    case COMMAND_RUN:
      return run(c, argument, 0);
    case COMMAND_RUN_SYSTEM:
      return run(c, 0, 1);
    case COMMAND_HANDSHAKE:
      reply(pointer, (u64)features() << 32 | LAYOUT_HASH);
      return TRAPDOOR_ABI;
    case COMMAND_OPEN:
      c = calloc(1, sizeof *c);
      if (!c) return 0;
      c->arena = pointer;
      if (rebuild(c)) return (u64)(size_t)c;
      free(c);
      return 0;
    case COMMAND_LOAD:
      return load(c);
    case COMMAND_UNLOAD:
      return unload(c, argument);
    case COMMAND_CLOSE:
      close_context(c);
      return 0;
    default:
      return 0xffffffffu;
  }
}

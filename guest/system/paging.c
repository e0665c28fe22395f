/*
 * Address translation: every combination of an entry's flags, kind of access, level, SUM and MXR; levels, superpages,
 * reserved encodings, addresses that are not canonical, page crossings, accessed and dirty bits, MPRV, sfence.vma.
 */
#include "system.h"

enum { V = 1, R = 2, W = 4, X = 8, U = 16, G = 32, A = 64, D = 128 };

#if __riscv_xlen == 64
typedef uint64_t entry;
#define INDEX_BITS 9
#define MODES 2
static const struct { const char *name; word mode; int levels; } modes[] = {{"Sv39", 8, 3}, {"Sv48", 9, 4}};
#define SATP(mode, asid, root) ((mode) << 60 | (word)(asid) << 44 | (word)(root) >> 12)
#else
typedef uint32_t entry;
#define INDEX_BITS 10
#define MODES 1
static const struct { const char *name; word mode; int levels; } modes[] = {{"Sv32", 1, 2}};
#define SATP(mode, asid, root) ((mode) << 31 | (word)(asid) << 22 | (word)(root) >> 12)
#endif

#define ENTRIES (1 << INDEX_BITS)
#define LEAF(address, flags) ((entry)((word)(address) >> 12) << 10 | (flags))

static entry root[ENTRIES] __attribute__((aligned(4096)));
static entry tables[4][ENTRIES] __attribute__((aligned(4096)));
static uint8_t page[2][4096] __attribute__((aligned(4096)));
static int levels;

/* The virtual page that is tried; its neighbour follows. */
#define TRIED ((word)0x40000000)
/* Code of U-mode: the program itself, seen from below. */
#define USER_ALIAS ((word)0x20000000)

static int index_of(word address, int level) {
  return (int)(address >> (12 + INDEX_BITS * level) & (ENTRIES - 1));
}

/* Where the last-level entry of TRIED is, with tables down to it. */
static entry *slot(int level) {
  entry *table = root;
  for (int at = levels - 1, next = 0; at > level; at--, next++) {
    entry *link = &table[index_of(TRIED, at)];
    *link = LEAF(tables[next], V);
    table = tables[next];
  }
  return &table[index_of(TRIED, level)];
}

static entry small[2][ENTRIES] __attribute__((aligned(4096)));
static entry middle[2][ENTRIES] __attribute__((aligned(4096)));

static void identity(void) {
  for (int i = 0; i < ENTRIES; i++) root[i] = 0;
  for (int t = 0; t < 4; t++)
    for (int i = 0; i < ENTRIES; i++) tables[t][i] = 0;
  for (int t = 0; t < 2; t++)
    for (int i = 0; i < ENTRIES; i++) small[t][i] = middle[t][i] = 0;
#if __riscv_xlen == 64
  /* RAM for the supervisor, in pages of a gigabyte; the program's first 2 MiB for the user, in small pages. */
  entry *table = root;
  if (levels == 4) {
    root[0] = LEAF(middle[1], V);
    table = middle[1];
  }
  table[2] = LEAF(0x80000000, V | R | W | X | A | D);
  table[0] = LEAF(middle[0], V);
  middle[0][index_of(USER_ALIAS, 1)] = LEAF(small[0], V);
#else
  root[512] = LEAF(0x80000000, V | R | W | X | A | D);
  root[index_of(USER_ALIAS, 1)] = LEAF(small[0], V);
#endif
  for (int i = 0; i < 256; i++) small[0][i] = LEAF(0x80000000 + 4096 * (word)i, V | R | W | X | U | A | D);
}

/* With 4 levels TRIED lies below the same entry of the root as everything else. */
static entry *tried_slot(int level) {
  if (levels == 4 && level < 3) {
    entry *table = middle[1];
    for (int at = 2, next = 0; at > level; at--, next++) {
      entry *link = &table[index_of(TRIED, at)];
      *link = LEAF(tables[next], V);
      table = tables[next];
    }
    return &table[index_of(TRIED, level)];
  }
  return slot(level);
}

#define CODE(name, text) \
  __attribute__((naked)) static void name(void) { __asm__ volatile(text "\nret"); }

CODE(load, "lw a0, 0(a0)")
CODE(store, "sw zero, 0(a0)")
CODE(add, "amoadd.w a0, zero, (a0)")
CODE(fetch, "jr a0")
CODE(load_byte, "lbu a0, 0(a0)")
#if __riscv_xlen == 64
CODE(load_wide, "ld a0, 0(a0)")
CODE(store_wide, "sd zero, 0(a0)")
#endif

static void (*const kinds[])(void) = {load, store, fetch};

static char outcome(void) {
  switch (trap_cause) {
    case 8: case 9: case 11: return '.';
    case 12: case 13: case 15: return 'p';
    case 1: case 5: case 7: return 'a';
    case 2: return 'i';
    default: return '?';
  }
}

/* Runs a function below M-mode; in U-mode its code and stack are at the alias. */
static void run(int level, void (*code)(void), word argument) {
  word offset = level == USER ? USER_ALIAS - 0x80000000u : 0;
  code_offset = offset;
  stack_offset = offset;
  flush_tlb();
  run_at((word)level, (word)code + offset, argument);
  code_offset = stack_offset = 0;
}

static void flags(void) {
  entry *leaf = tried_slot(0);
  /* A return, for fetches. */
  *(volatile uint16_t *)page[0] = 0x8082;
  for (int f = 0; f < 256; f++) {
    if (f & G) continue;
    char line[32];
    int at = 0;
    for (int c = 0; c < 5; c++) {
      csr_clear(mstatus, MSTATUS_SUM | MSTATUS_MXR);
      if (c & 1) csr_set(mstatus, MSTATUS_SUM);
      if (c & 2) csr_set(mstatus, MSTATUS_MXR);
      for (int k = 0; k < 3; k++) {
        *leaf = LEAF(page[0], (entry)f);
        run(c == 4 ? USER : SUPERVISOR, kinds[k], TRIED);
        line[at++] = outcome();
        /* What became of the accessed and dirty bits. */
        line[at++] = (char)('0' + (*leaf >> 6 & 3));
      }
      if (c == 3) csr_clear(mstatus, MSTATUS_SUM | MSTATUS_MXR);
    }
    line[at] = 0;
    put_hex((word)f);
    put(" ");
    put(line);
    put("\n");
  }
}

static void one(const char *name, int level, void (*code)(void), word address) {
  run(level, code, address);
  report(name);
}

int main(void) {
  open_pmp();
  csr_write(medeleg, 0xb1ff);
  for (int m = 0; m < MODES; m++) {
    put(modes[m].name);
    put("\n");
    levels = modes[m].levels;
    identity();
    csr_write(satp, SATP(modes[m].mode, 0, root));
    put_number(csr_read(satp) != 0);
    put("\n");
    flags();
    csr_clear(mstatus, MSTATUS_SUM | MSTATUS_MXR);

    const entry all = V | R | W | X | A | D;
    entry *leaf = tried_slot(0);
    *leaf = 0;
    one("load of nothing", SUPERVISOR, load, TRIED + 8);
    one("store to nothing", SUPERVISOR, store, TRIED + 12);
    one("atomic of nothing", SUPERVISOR, add, TRIED + 16);
    one("fetch of nothing", SUPERVISOR, fetch, TRIED + 20);
    one("user load of the supervisor", USER, load, 0x80000000);
    one("user fetch of the supervisor", USER, fetch, 0x80000000);
    *leaf = LEAF(page[0], all & ~(entry)W);
    one("atomic of a read-only page", SUPERVISOR, add, TRIED + 24);
    /* The second page of a crossing is missing, then the first. */
    leaf[0] = LEAF(page[0], all);
    leaf[1] = 0;
    one("load across", SUPERVISOR, load, TRIED + 4094);
    one("store across", SUPERVISOR, store, TRIED + 4093);
    *(volatile uint16_t *)&page[0][4094] = 0x0513; /* the first half of addi a0, a0, 1 */
    one("fetch across", SUPERVISOR, fetch, TRIED + 4094);
    page[0][4095] = 0x77;
    leaf[1] = LEAF(page[1], all);
    *(volatile uint16_t *)page[1] = 0x0015;
    *(volatile uint16_t *)&page[1][2] = 0x8082;
    *(volatile uint16_t *)&page[0][4094] = 0x0513;
    one("code across", SUPERVISOR, fetch, TRIED + 4094);
    put_number(trap_result - TRIED);
    put("\n");
    leaf[0] = LEAF(page[1], all);
    leaf[1] = LEAF(page[0], all);
    one("load across, backwards", SUPERVISOR, load, TRIED + 4094);
    put_hex(trap_result);
    put("\n");
    leaf[1] = 0;
    /* A table where a leaf belongs; a table with a leaf's bits; a page that is not aligned. */
    *leaf = LEAF(page[0], V);
    one("no leaf at the end", SUPERVISOR, load, TRIED);
    entry *larger = tried_slot(1);
    entry kept = *larger;
    *larger = kept | A;
    one("a table that is accessed", SUPERVISOR, load, TRIED);
    *larger = kept | U;
    one("a table for users", SUPERVISOR, load, TRIED);
    *larger = LEAF(page[0], all);
    one("a large page off its place", SUPERVISOR, load, TRIED);
    *larger = LEAF(0x80000000, all);
    one("a large page", SUPERVISOR, load, TRIED + ((word)page[0] - 0x80000000) + 4);
    put_hex(trap_result == *(volatile uint32_t *)&page[0][4]);
    put("\n");
    *larger = LEAF(0x1800000, all);
    one("a page of nothing", SUPERVISOR, load, TRIED);
    *larger = kept;
    *leaf = LEAF(page[0], all);
#if __riscv_xlen == 64
    *leaf = LEAF(page[0], all) | (entry)1 << 54;
    one("a reserved bit", SUPERVISOR, load, TRIED);
    *leaf = LEAF(page[0], all);
    const int top = 12 + 9 * levels;
    one("not canonical", SUPERVISOR, load, TRIED | (word)1 << top);
    one("not canonical, store", SUPERVISOR, store, TRIED | (word)1 << 63);
    one("not canonical, fetch", SUPERVISOR, fetch, TRIED | (word)1 << 62);
    one("upper half", SUPERVISOR, load, ~(word)0 << (top - 1));
    one("wide load across", SUPERVISOR, load_wide, TRIED + 4090);
    one("wide store across", SUPERVISOR, store_wide, TRIED + 4089);
    /* A mode that does not exist leaves satp as it is. */
    word before = csr_read(satp);
    csr_write(satp, (before & ~((word)15 << 60)) | (word)5 << 60);
    put_number(csr_read(satp) == before);
    put("\n");
#endif
    /* A change of the entry is seen after sfence.vma; one page alone, and others stay. */
    page[0][0] = 1;
    page[1][0] = 2;
    leaf[0] = LEAF(page[0], all);
    leaf[1] = LEAF(page[1], all);
    one("first", SUPERVISOR, load_byte, TRIED);
    put_number(trap_result);
    leaf[0] = LEAF(page[1], all);
    __asm__ volatile("sfence.vma %0" ::"r"(TRIED) : "memory");
    run_at(SUPERVISOR, (word)load_byte, TRIED);
    put_number(trap_result);
    run_at(SUPERVISOR, (word)load_byte, TRIED + 4096);
    put_number(trap_result);
    put("\n");
    /* MPRV: M-mode's own loads are made as at another level; its fetches are not. */
    leaf[0] = LEAF(page[0], all | U);
    flush_tlb();
    for (int sum = 0; sum < 2; sum++) {
      for (int level = USER; level <= SUPERVISOR; level++) {
        csr_clear(mstatus, MSTATUS_MPP | MSTATUS_SUM | MSTATUS_MPRV);
        if (sum) csr_set(mstatus, MSTATUS_SUM);
        word value = 0, status = MSTATUS_MPRV | (word)level << 11;
        trap_level = -1;
        extern word mprv_load(word address, word status);
        value = mprv_load(TRIED, status);
        put("mprv ");
        put_number(value);
        put("\n");
      }
    }
    csr_clear(mstatus, MSTATUS_SUM);
    csr_write(satp, 0);
    flush_tlb();
  }
  return 0;
}

/* A load in M-mode with MPRV; a fault of it gives 99. */
__attribute__((naked)) word mprv_load(word address, word status) {
  (void)address;
  (void)status;
  __asm__ volatile(
      "la t0, 1f\n"
      "csrrw t1, mtvec, t0\n"
      "li t2, 99\n"
      "csrs mstatus, a1\n"
      "lbu t2, 0(a0)\n"
      ".balign 4\n"
      "1: csrc mstatus, a1\n"
      "csrw mtvec, t1\n"
      "mv a0, t2\n"
      "ret\n");
}

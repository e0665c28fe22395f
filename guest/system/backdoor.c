/*
 * The backdoor from M-, S- and U-mode, with virtual addresses of the caller; the channel's areas in physical memory.
 */
#include "system.h"
#include "trapdoor.h"

#if __riscv_xlen == 64
typedef uint64_t entry;
#define SATP ((word)8 << 60 | (word)root >> 12)
#else
typedef uint32_t entry;
#define SATP ((word)1 << 31 | (word)root >> 12)
#endif
#define LEAF(address, flags) ((entry)((word)(address) >> 12) << 10 | (flags))
enum { V = 1, RWX = 14, U = 16, A = 64, D = 128 };

static entry root[1024] __attribute__((aligned(4096)));
#if __riscv_xlen == 64
static entry middle[1024] __attribute__((aligned(4096)));
#endif
static entry small[1024] __attribute__((aligned(4096)));
#define USER_ALIAS ((word)0x20000000)
/* Two pages that do not follow each other in memory: at PLACE they do, backwards. */
static uint8_t pages[2][4096] __attribute__((aligned(4096)));
#define PLACE ((word)0x20400000)

/* Command 1: length of the text at an address; 2: adds four numbers; 3: writes to an address; 4: later. */
__attribute__((noinline)) static void from_anywhere(word text) {
  uint64_t result = 0;
  const uint64_t length[4] = {text, 0, 0, 0};
  int status = trapdoor_raw_invoke(0, 1, length, &result);
  word answer = (word)status << 8 | (word)result;
  __asm__ volatile("mv a0, %0\necall" ::"r"(answer) : "a0");
}

__attribute__((noinline)) static void by_block(word at) {
  volatile uint64_t *slot = (volatile uint64_t *)at;
  slot[0] = 2;
  for (int i = 0; i < 4; i++) slot[1 + i] = (uint64_t)(i + 1) << 8 * i;
  slot[5] = 0;
  slot[6] = ~(uint64_t)0;
  unsigned long arg[6] = {0, at, 0, 0, 0, 0};
  long status = trapdoor_request_(TRAPDOOR_KIND_CALL_BLOCK, arg);
  word answer = (word)slot[5] + (word)slot[6] * 1000 + (word)status * 100 + (arg[1] == at ? 0 : 7);
  __asm__ volatile("mv a0, %0\necall" ::"r"(answer) : "a0");
}

static void run(word level, word code, word argument) {
  word offset = level == USER ? USER_ALIAS - 0x80000000u : 0;
  code_offset = stack_offset = offset;
  flush_tlb();
  run_at(level, code + offset, argument);
  code_offset = stack_offset = 0;
  put_number(level);
  put(" ");
  if (trap_cause >= 8 && trap_cause <= 11) put_hex(trap_result);
  else report("trap");
  put("\n");
}

static char hello[] = "a text of 19 bytes.";

int main(void) {
  open_pmp();
  put_hex(trapdoor_raw_hello());
  put("\n");
  csr_write(medeleg, 0);
  run(MACHINE, (word)from_anywhere, (word)hello);
  run(MACHINE, (word)by_block, (word)pages);
  run(SUPERVISOR, (word)from_anywhere, (word)hello);
#if __riscv_xlen == 64
  root[2] = LEAF(0x80000000, V | RWX | A | D);
  root[0] = LEAF(middle, V);
  middle[USER_ALIAS >> 21] = LEAF(small, V);
  middle[(USER_ALIAS >> 21) + 1] = LEAF(small + 512, V);
#else
  root[512] = LEAF(0x80000000, V | RWX | A | D);
  root[USER_ALIAS >> 22] = LEAF(small, V);
#endif
  for (int i = 0; i < 256; i++) small[i] = LEAF(0x80000000 + 4096 * (word)i, V | RWX | U | A | D);
  word place = USER_ALIAS + 4096 * 300;
  small[300] = LEAF(pages[1], V | RWX | U | A | D);
  small[301] = LEAF(pages[0], V | RWX | U | A | D);
  small[302] = LEAF(pages[0], V | 2 | U | A);
  csr_write(satp, SATP);
  flush_tlb();
  csr_set(mstatus, MSTATUS_SUM);
  run(SUPERVISOR, (word)from_anywhere, (word)hello);
  run(SUPERVISOR, (word)by_block, (word)pages);
  run(SUPERVISOR, (word)by_block, place + 4096 - 24);
  word shift = USER_ALIAS - 0x80000000u;
  run(USER, (word)from_anywhere, (word)hello + shift);
  run(USER, (word)by_block, place + 4096 - 24);
  for (int i = 0; i < 8; i++) pages[1][4092 + i % 4] = 'x';
  for (int i = 0; i < 6; i++) pages[0][i] = 'y';
  pages[0][6] = 0;
  run(USER, (word)from_anywhere, place + 4092);
  /* Addresses that the caller may not read: the supervisor's, none at all. */
  run(USER, (word)from_anywhere, (word)hello);
  run(USER, (word)from_anywhere, 0x1000);
  csr_clear(mstatus, MSTATUS_SUM);
  run(SUPERVISOR, (word)from_anywhere, (word)hello + shift);
  /* A block in a read-only page, and one that is misaligned: the request is invalid. */
  unsigned long arg[6] = {0, place + 8192, 0, 0, 0, 0};
  csr_write(satp, 0);
  arg[1] = (unsigned long)pages + 4;
  put_number((word)trapdoor_request_(TRAPDOOR_KIND_CALL_BLOCK, arg));
  arg[0] = 0;
  arg[1] = 0x1000;
  put_number((word)trapdoor_request_(TRAPDOOR_KIND_CALL_BLOCK, arg));
  put("\n");
  /* The library: the areas are memory at physical addresses. */
  flush_tlb();
  put_number((word)(trapdoor_init(0) + 1));
  char *data = trapdoor_data(0);
  put_hex((word)data);
  for (int i = 0; i < 20; i++) data[i] = hello[i];
  put_number((word)trapdoor_call(0, 3, 20));
  put(data);
  put("\n");
  /* An answer that comes later, and a command that nobody knows. */
  put_number((word)trapdoor_call(0, 4, 5));
  put(" ");
  put_number((word)(trapdoor_call(0, 99, 0) + 1));
  /* A store to the control area, which the device tree names. */
  volatile uint64_t *control = (volatile uint64_t *)(0x4000000 + 4096);
  for (int i = 0; i < 4; i++) control[1 + i] = (uint64_t)(10 * (i + 1));
  control[0] = 2;
  control[6] = ~(uint64_t)0;
  *(volatile uint32_t *)&control[7] = 1;
  put(" ");
  put_number((word)control[5]);
  put(" ");
  put_number((word)control[6]);
  control[6] = ~(uint64_t)0;
  *(volatile word *)&control[7] = 1;
  put_number((word)control[6]);
  put("\n");
  trapdoor_fini();
  return 0;
}

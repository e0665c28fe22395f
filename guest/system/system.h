/*
 * What the bare-metal tests of system mode share: printing, CSRs, running code at a privilege level.
 */
#ifndef SYSTEM_H
#define SYSTEM_H

#include <stdint.h>

typedef uintptr_t word;

enum { USER = 0, SUPERVISOR = 1, MACHINE = 3 };

#define csr_read(name) \
  ({ word value_; __asm__ volatile("csrr %0, " #name : "=r"(value_)); value_; })
#define csr_write(name, value) __asm__ volatile("csrw " #name ", %0" ::"r"((word)(value)) : "memory")
#define csr_set(name, bits) __asm__ volatile("csrs " #name ", %0" ::"r"((word)(bits)) : "memory")
#define csr_clear(name, bits) __asm__ volatile("csrc " #name ", %0" ::"r"((word)(bits)) : "memory")

#define MSTATUS_SIE (1u << 1)
#define MSTATUS_MIE (1u << 3)
#define MSTATUS_SPIE (1u << 5)
#define MSTATUS_MPIE (1u << 7)
#define MSTATUS_SPP (1u << 8)
#define MSTATUS_MPP (3u << 11)
#define MSTATUS_FS (3u << 13)
#define MSTATUS_MPRV (1u << 17)
#define MSTATUS_SUM (1u << 18)
#define MSTATUS_MXR (1u << 19)
#define MSTATUS_TVM (1u << 20)
#define MSTATUS_TW (1u << 21)
#define MSTATUS_TSR (1u << 22)

/* Of the last trap. trap_level is the level that took it. */
extern volatile word trap_cause, trap_epc, trap_tval, trap_status, trap_result;
extern volatile int trap_level, vector_taken;
/* Added to the address of code, and to the stack pointer, of what run_at runs: another mapping. */
extern volatile word code_offset, stack_offset;
extern void (*volatile hart_entry)(word hart);
extern volatile word device_tree;
extern char vectors[], m_trap[], s_trap[], __end[];

/* Runs a function at a level until it traps; returns the cause. Coming back is an ecall: cause 8, 9 or 11. */
word run_at(word level, word function, word argument);

void put(const char *text);
void put_hex(word value);
void put_number(word value);
/* "name: level L cause C tval T", for the last trap. */
void report(const char *name);
void finish(void) __attribute__((noreturn));
/* Everything is allowed below M-mode. */
void open_pmp(void);
void flush_tlb(void);

#define UART ((volatile uint8_t *)0x10000000)
#define FINISHER (*(volatile uint32_t *)0x100000)
#define CLINT_MSIP(hart) (*(volatile uint32_t *)(0x2000000 + 4 * (hart)))
#define CLINT_MTIMECMP(hart) ((volatile uint32_t *)(0x2004000 + 8 * (hart)))
#define CLINT_MTIME ((volatile uint32_t *)0x200bff8)
#define PLIC(offset) (*(volatile uint32_t *)(0xc000000 + (word)(offset)))

#endif

# Start of a bare-metal test program, and the traps that it provokes.
#
# hart 0 runs main; the others wait in `wfi` until they find an entry in hart_entry. A trap is recorded and ends the
# function that run_at started, at whatever level it came.

#if __riscv_xlen == 64
#define STORE sd
#define LOAD ld
#define BYTES 8
#define DWORD .dword
#else
#define STORE sw
#define LOAD lw
#define BYTES 4
#define DWORD .word
#endif

.section .text.start, "ax"
.globl _start
_start:
  la t0, m_trap
  csrw mtvec, t0
  la sp, __stacks_end
  slli t1, a0, 12
  sub sp, sp, t1
  mv s0, a0
  mv s1, a1
  bnez a0, others
  la t0, __bss_start
  la t1, __bss_end
1: bgeu t0, t1, 2f
  STORE zero, 0(t0)
  addi t0, t0, BYTES
  j 1b
2: la t0, device_tree
  STORE s1, 0(t0)
  mv a0, s0
  mv a1, s1
  call main
  call finish

others:
  csrwi mie, 8
1: wfi
  la t0, hart_entry
  LOAD t1, 0(t0)
  beqz t1, 1b
  slli t2, s0, 2
  li t3, 0x2000000
  add t3, t3, t2
  sw zero, 0(t3)
  mv a0, s0
  jalr t1
2: wfi
  j 2b

# int run_at(level, function, argument): runs a function at a level until it traps; a return is an ecall.
.globl run_at
run_at:
  addi sp, sp, -16 * BYTES
  STORE ra, 0(sp)
  STORE s0, BYTES(sp)
  STORE s1, 2*BYTES(sp)
  STORE s2, 3*BYTES(sp)
  STORE s3, 4*BYTES(sp)
  STORE s4, 5*BYTES(sp)
  STORE s5, 6*BYTES(sp)
  STORE s6, 7*BYTES(sp)
  STORE s7, 8*BYTES(sp)
  STORE s8, 9*BYTES(sp)
  STORE s9, 10*BYTES(sp)
  STORE s10, 11*BYTES(sp)
  STORE s11, 12*BYTES(sp)
  STORE gp, 13*BYTES(sp)
  STORE tp, 14*BYTES(sp)
  csrw mscratch, sp
  la t0, s_trap
  csrw stvec, t0
  la t0, trap_level
  li t1, -1
  sw t1, 0(t0)
  li t0, 3 << 11
  csrc mstatus, t0
  slli t0, a0, 11
  csrs mstatus, t0
  csrw mepc, a1
  mv a0, a2
  la ra, leave
  la t0, code_offset
  LOAD t0, 0(t0)
  add ra, ra, t0
  la t0, stack_offset
  LOAD t0, 0(t0)
  add sp, sp, t0
  mret

.balign 4
leave: ecall
  j leave

# In S-mode: records, and lets M-mode end the function.
.balign 4
.globl s_trap
s_trap:
  la t0, trap_cause
  csrr t1, scause
  STORE t1, 0(t0)
  la t0, trap_epc
  csrr t1, sepc
  STORE t1, 0(t0)
  la t0, trap_tval
  csrr t1, stval
  STORE t1, 0(t0)
  la t0, trap_status
  csrr t1, sstatus
  STORE t1, 0(t0)
  la t0, trap_level
  li t1, 1
  sw t1, 0(t0)
  ecall

.balign 4
.globl m_trap
m_trap:
  # What MPRV makes of M-mode's own accesses must not matter here.
  li t0, 1 << 17
  csrc mstatus, t0
  la t0, trap_level
  lw t1, 0(t0)
  li t2, 1
  beq t1, t2, 1f
  la t0, trap_cause
  csrr t1, mcause
  STORE t1, 0(t0)
  la t0, trap_epc
  csrr t1, mepc
  STORE t1, 0(t0)
  la t0, trap_tval
  csrr t1, mtval
  STORE t1, 0(t0)
  la t0, trap_status
  csrr t1, mstatus
  STORE t1, 0(t0)
  la t0, trap_level
  li t1, 3
  sw t1, 0(t0)
1: la t0, trap_result
  STORE a0, 0(t0)
  csrr sp, mscratch
  LOAD ra, 0(sp)
  LOAD s0, BYTES(sp)
  LOAD s1, 2*BYTES(sp)
  LOAD s2, 3*BYTES(sp)
  LOAD s3, 4*BYTES(sp)
  LOAD s4, 5*BYTES(sp)
  LOAD s5, 6*BYTES(sp)
  LOAD s6, 7*BYTES(sp)
  LOAD s7, 8*BYTES(sp)
  LOAD s8, 9*BYTES(sp)
  LOAD s9, 10*BYTES(sp)
  LOAD s10, 11*BYTES(sp)
  LOAD s11, 12*BYTES(sp)
  LOAD gp, 13*BYTES(sp)
  LOAD tp, 14*BYTES(sp)
  addi sp, sp, 16 * BYTES
  la t0, trap_cause
  LOAD a0, 0(t0)
  ret

# A vectored table for interrupts: entry n puts n into vector_taken.
.balign 256
.globl vectors
vectors:
.macro entry n
  li t0, \n
  j vectored
  .balign 4
.endm
.option push
.option norvc
  j m_trap
  j vector1
  j m_trap
  j vector3
  j m_trap
  j vector5
  j m_trap
  j vector7
  j m_trap
  j vector9
  j m_trap
  j vector11
.option pop
vector1: li t1, 1
  j vectored
vector3: li t1, 3
  j vectored
vector5: li t1, 5
  j vectored
vector7: li t1, 7
  j vectored
vector9: li t1, 9
  j vectored
vector11: li t1, 11
vectored:
  la t0, vector_taken
  sw t1, 0(t0)
  j m_trap

.data
.balign 8
.globl trap_cause, trap_epc, trap_tval, trap_status, trap_level, trap_result, code_offset, stack_offset
.globl hart_entry, vector_taken, device_tree
trap_cause: .dword 0
trap_epc: .dword 0
trap_tval: .dword 0
trap_status: .dword 0
trap_result: .dword 0
code_offset: .dword 0
stack_offset: .dword 0
hart_entry: .dword 0
device_tree: .dword 0
trap_level: .word 0
vector_taken: .word 0

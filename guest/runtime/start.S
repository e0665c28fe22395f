/* Entry point of a static program on Linux for RISC-V and AArch64: the kernel leaves argc, argv, envp and auxv on the stack. */
  .section .text.start, "ax", @progbits
  .globl _start
  .type _start, @function
_start:
#if defined(__aarch64__)
  mov x0, sp
  and sp, x0, #-16
  mov x29, xzr
  mov x30, xzr
  bl runtime_start
  brk #0
#else
  .option push
  .option norelax
  la gp, __global_pointer$
  .option pop
  mv a0, sp
  andi sp, sp, -16
  li fp, 0
  li ra, 0
  call runtime_start
  ebreak
#endif
  .size _start, . - _start

  .section .note.GNU-stack, "", @progbits

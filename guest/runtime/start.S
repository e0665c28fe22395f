/* Entry point of a static program on Linux for RISC-V: the kernel leaves argc, argv, envp and auxv on the stack. */
  .section .text.start, "ax", @progbits
  .globl _start
  .type _start, @function
_start:
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
  .size _start, . - _start

  .section .note.GNU-stack, "", @progbits

/**
 * RV32I and RV64I, Zifencei and Zihintpause, and the backdoor instruction.
 *
 * Source: The RISC-V Instruction Set Manual, volume I, chapters 2 (RV32I), 4 (RV64I), "Zifencei", "Zihintpause".
 *
 * @module
 */
import type { Fields } from "../isa/decoder.ts";
import { isLink, JumpHint, type Lifter, Op, rows, Slot, Trap } from "./lifter.ts";

const branch = (op: number) => (c: Lifter, f: Fields) => c.branch(op, f);
const load = (op: number) => (c: Lifter, f: Fields) => c.setX(f.rd, c.load(op, f.rs1, f.imm));
const store = (op: number) => (c: Lifter, f: Fields) => c.store(op, f.rs1, f.imm, c.x(f.rs2));
const B = "imm[12] imm[10:5] rs2 rs1 ";
const B2 = " imm[4:1] imm[11] 1100011";
const S2 = " imm[4:0] 0100011";

/** The rows. */
export const RV_I = () =>
  rows(
    [
      "trapdoor",
      "011110111101 00000 010 00000 0010011",
      "",
      (c) => c.b.trap(Trap.BACKDOOR, c.length),
    ],
    ["lui", "imm[31:12] rd 0110111", "{rd},{upper}", (c, f) => c.setX(f.rd, c.b.imm(f.imm))],
    ["auipc", "imm[31:12] rd 0010111", "{rd},{upper}", (c, f) => {
      c.setX(f.rd, c.imm(c.pc + f.imm));
    }],
    ["jal", "imm[20] imm[10:1] imm[11] imm[19:12] rd 1101111", "{rd},{target}", (c, f) => {
      c.setX(f.rd, c.imm(c.next));
      c.b.jump(c.wrap(c.pc + f.imm), isLink(f.rd) ? JumpHint.CALL : JumpHint.NONE);
    }],
    ["jalr", "imm rs1 000 rd 1100111", "{rd},{imm}({rs1})", (c, f) => {
      c.jumpIndirect(f.rd, f.rs1, c.add(c.x(f.rs1), c.b.imm(f.imm)));
    }],
    ["beq", B + "000" + B2, "{rs1},{rs2},{target}", branch(Op.brEq)],
    ["bne", B + "001" + B2, "{rs1},{rs2},{target}", branch(Op.brNe)],
    ["blt", B + "100" + B2, "{rs1},{rs2},{target}", branch(Op.brLt)],
    ["bge", B + "101" + B2, "{rs1},{rs2},{target}", branch(Op.brGe)],
    ["bltu", B + "110" + B2, "{rs1},{rs2},{target}", branch(Op.brLtu)],
    ["bgeu", B + "111" + B2, "{rs1},{rs2},{target}", branch(Op.brGeu)],
    ["lb", "imm rs1 000 rd 0000011", "{rd},{imm}({rs1})", load(Op.ldS8)],
    ["lh", "imm rs1 001 rd 0000011", "{rd},{imm}({rs1})", load(Op.ldS16)],
    ["lw", "imm rs1 010 rd 0000011", "{rd},{imm}({rs1})", load(Op.ldS32)],
    ["lbu", "imm rs1 100 rd 0000011", "{rd},{imm}({rs1})", load(Op.ldU8)],
    ["lhu", "imm rs1 101 rd 0000011", "{rd},{imm}({rs1})", load(Op.ldU16)],
    ["lwu", "imm rs1 110 rd 0000011", "{rd},{imm}({rs1})", load(Op.ldU32), { xlen: 64 }],
    ["ld", "imm rs1 011 rd 0000011", "{rd},{imm}({rs1})", load(Op.ld64), { xlen: 64 }],
    ["sb", "imm[11:5] rs2 rs1 000" + S2, "{rs2},{imm}({rs1})", store(Op.st8)],
    ["sh", "imm[11:5] rs2 rs1 001" + S2, "{rs2},{imm}({rs1})", store(Op.st16)],
    ["sw", "imm[11:5] rs2 rs1 010" + S2, "{rs2},{imm}({rs1})", store(Op.st32)],
    ["sd", "imm[11:5] rs2 rs1 011" + S2, "{rs2},{imm}({rs1})", store(Op.st64), { xlen: 64 }],
    ["addi", "imm rs1 000 rd 0010011", "{rd},{rs1},{imm}", (c, f) => {
      c.setX(f.rd, c.add(c.x(f.rs1), c.b.imm(f.imm)));
    }],
    ["slti", "imm rs1 010 rd 0010011", "{rd},{rs1},{imm}", (c, f) => {
      c.setX(f.rd, c.b.slt(c.x(f.rs1), c.b.imm(f.imm)));
    }],
    ["sltiu", "imm rs1 011 rd 0010011", "{rd},{rs1},{imm}", (c, f) => {
      c.setX(f.rd, c.b.sltu(c.x(f.rs1), c.b.imm(f.imm)));
    }],
    ["xori", "imm rs1 100 rd 0010011", "{rd},{rs1},{imm}", (c, f) => {
      c.setX(f.rd, c.b.xor(c.x(f.rs1), c.b.imm(f.imm)));
    }],
    ["ori", "imm rs1 110 rd 0010011", "{rd},{rs1},{imm}", (c, f) => {
      c.setX(f.rd, c.b.or(c.x(f.rs1), c.b.imm(f.imm)));
    }],
    ["andi", "imm rs1 111 rd 0010011", "{rd},{rs1},{imm}", (c, f) => {
      c.setX(f.rd, c.b.and(c.x(f.rs1), c.b.imm(f.imm)));
    }],
    ["slli", "000000 shamt rs1 001 rd 0010011", "{rd},{rs1},{shamt}", (c, f) => {
      c.setX(f.rd, c.shl(c.x(f.rs1), c.b.imm(f.shamt)));
    }, { xlen: 64 }],
    ["srli", "000000 shamt rs1 101 rd 0010011", "{rd},{rs1},{shamt}", (c, f) => {
      c.setX(f.rd, c.shru(c.x(f.rs1), c.b.imm(f.shamt)));
    }, { xlen: 64 }],
    ["srai", "010000 shamt rs1 101 rd 0010011", "{rd},{rs1},{shamt}", (c, f) => {
      c.setX(f.rd, c.shrs(c.x(f.rs1), c.b.imm(f.shamt)));
    }, { xlen: 64 }],
    ["slli", "0000000 shamt[4:0] rs1 001 rd 0010011", "{rd},{rs1},{shamt}", (c, f) => {
      c.setX(f.rd, c.shl(c.x(f.rs1), c.b.imm(f.shamt)));
    }, { xlen: 32 }],
    ["srli", "0000000 shamt[4:0] rs1 101 rd 0010011", "{rd},{rs1},{shamt}", (c, f) => {
      c.setX(f.rd, c.shru(c.x(f.rs1), c.b.imm(f.shamt)));
    }, { xlen: 32 }],
    ["srai", "0100000 shamt[4:0] rs1 101 rd 0010011", "{rd},{rs1},{shamt}", (c, f) => {
      c.setX(f.rd, c.shrs(c.x(f.rs1), c.b.imm(f.shamt)));
    }, { xlen: 32 }],
    ["add", "0000000 rs2 rs1 000 rd 0110011", "{rd},{rs1},{rs2}", (c, f) => {
      c.setX(f.rd, c.add(c.x(f.rs1), c.x(f.rs2)));
    }],
    ["sub", "0100000 rs2 rs1 000 rd 0110011", "{rd},{rs1},{rs2}", (c, f) => {
      c.setX(f.rd, c.sub(c.x(f.rs1), c.x(f.rs2)));
    }],
    ["sll", "0000000 rs2 rs1 001 rd 0110011", "{rd},{rs1},{rs2}", (c, f) => {
      c.setX(f.rd, c.shl(c.x(f.rs1), c.x(f.rs2)));
    }],
    ["slt", "0000000 rs2 rs1 010 rd 0110011", "{rd},{rs1},{rs2}", (c, f) => {
      c.setX(f.rd, c.b.slt(c.x(f.rs1), c.x(f.rs2)));
    }],
    ["sltu", "0000000 rs2 rs1 011 rd 0110011", "{rd},{rs1},{rs2}", (c, f) => {
      c.setX(f.rd, c.b.sltu(c.x(f.rs1), c.x(f.rs2)));
    }],
    ["xor", "0000000 rs2 rs1 100 rd 0110011", "{rd},{rs1},{rs2}", (c, f) => {
      c.setX(f.rd, c.b.xor(c.x(f.rs1), c.x(f.rs2)));
    }],
    ["srl", "0000000 rs2 rs1 101 rd 0110011", "{rd},{rs1},{rs2}", (c, f) => {
      c.setX(f.rd, c.shru(c.x(f.rs1), c.x(f.rs2)));
    }],
    ["sra", "0100000 rs2 rs1 101 rd 0110011", "{rd},{rs1},{rs2}", (c, f) => {
      c.setX(f.rd, c.shrs(c.x(f.rs1), c.x(f.rs2)));
    }],
    ["or", "0000000 rs2 rs1 110 rd 0110011", "{rd},{rs1},{rs2}", (c, f) => {
      c.setX(f.rd, c.b.or(c.x(f.rs1), c.x(f.rs2)));
    }],
    ["and", "0000000 rs2 rs1 111 rd 0110011", "{rd},{rs1},{rs2}", (c, f) => {
      c.setX(f.rd, c.b.and(c.x(f.rs1), c.x(f.rs2)));
    }],
    ["addiw", "imm rs1 000 rd 0011011", "{rd},{rs1},{imm}", (c, f) => {
      c.setX(f.rd, c.b.add32(c.x(f.rs1), c.b.imm(f.imm)));
    }, { xlen: 64 }],
    ["slliw", "0000000 shamt[4:0] rs1 001 rd 0011011", "{rd},{rs1},{shamt}", (c, f) => {
      c.setX(f.rd, c.b.shl32(c.x(f.rs1), c.b.imm(f.shamt)));
    }, { xlen: 64 }],
    ["srliw", "0000000 shamt[4:0] rs1 101 rd 0011011", "{rd},{rs1},{shamt}", (c, f) => {
      c.setX(f.rd, c.b.shru32(c.x(f.rs1), c.b.imm(f.shamt)));
    }, { xlen: 64 }],
    ["sraiw", "0100000 shamt[4:0] rs1 101 rd 0011011", "{rd},{rs1},{shamt}", (c, f) => {
      c.setX(f.rd, c.b.shrs32(c.x(f.rs1), c.b.imm(f.shamt)));
    }, { xlen: 64 }],
    ["addw", "0000000 rs2 rs1 000 rd 0111011", "{rd},{rs1},{rs2}", (c, f) => {
      c.setX(f.rd, c.b.add32(c.x(f.rs1), c.x(f.rs2)));
    }, { xlen: 64 }],
    ["subw", "0100000 rs2 rs1 000 rd 0111011", "{rd},{rs1},{rs2}", (c, f) => {
      c.setX(f.rd, c.b.sub32(c.x(f.rs1), c.x(f.rs2)));
    }, { xlen: 64 }],
    ["sllw", "0000000 rs2 rs1 001 rd 0111011", "{rd},{rs1},{rs2}", (c, f) => {
      c.setX(f.rd, c.b.shl32(c.x(f.rs1), c.x(f.rs2)));
    }, { xlen: 64 }],
    ["srlw", "0000000 rs2 rs1 101 rd 0111011", "{rd},{rs1},{rs2}", (c, f) => {
      c.setX(f.rd, c.b.shru32(c.x(f.rs1), c.x(f.rs2)));
    }, { xlen: 64 }],
    ["sraw", "0100000 rs2 rs1 101 rd 0111011", "{rd},{rs1},{rs2}", (c, f) => {
      c.setX(f.rd, c.b.shrs32(c.x(f.rs1), c.x(f.rs2)));
    }, { xlen: 64 }],
    ["pause", "000000010000 00000 000 00000 0001111", "", (c) => c.b.state(Op.nop)],
    ["fence.tso", "100000110011 00000 000 00000 0001111", "", (c) => c.b.state(Op.fence)],
    ["fence", "fm pred succ rs1 000 rd 0001111", "{pred},{succ}", (c, f) => {
      c.b.state(Op.fence, 0, f.pred << 4 | f.succ);
    }],
    // Stores to translated code drop it at once; what remains is not to run on in the old block.
    ["fence.i", "imm rs1 001 rd 0001111", "", (c) => {
      c.b.stateAt(Op.invalidate, Slot.ZERO, 0);
      c.b.jump(c.next);
    }],
    ["ecall", "000000000000 00000 000 00000 1110011", "", (c) => c.b.trap(Trap.SYSCALL, c.length)],
    [
      "ebreak",
      "000000000001 00000 000 00000 1110011",
      "",
      (c) => c.b.trap(Trap.BREAKPOINT, c.length),
    ],
  );

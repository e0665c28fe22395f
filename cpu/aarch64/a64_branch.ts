/**
 * Branches, exceptions, hints, barriers, cache maintenance and system registers at EL0.
 *
 * Source: Arm Architecture Reference Manual (DDI 0487), C4.1.92 "Branches, Exception Generating and System
 * instructions", D19 (system registers). ID registers are what Linux lets EL0 see of a Cortex-A72 with the instructions
 * that are implemented here: Documentation/arch/arm64/cpu-feature-registers.rst.
 *
 * @module
 */
import { readFpcr, readFpsr, writeFpcr, writeFpsr } from "./fp_lifter.ts";
import {
  type A64Row,
  type Fields,
  JumpHint,
  type Lifter,
  Op,
  row,
  Slot,
  Trap,
  type Value,
} from "./lifter.ts";
import { BACKDOOR_INSTRUCTION, TPIDR_SLOT } from "./state.ts";

/** Bytes that DC ZVA clears. */
const ZVA_BYTES = 64;
/** Ticks a second of CNTVCT_EL0. */
const COUNTER_HZ = 62_500_000;

function branchRows(): A64Row[] {
  const link = (c: Lifter) => c.setX(30, c.b.imm(c.pc + 4));
  const indirect = (hint: number) => (c: Lifter, f: Fields) => {
    const target = c.x(f.rn);
    if (hint === JumpHint.CALL) link(c);
    c.b.jumpIndirect(target, -1, hint);
  };
  const zero = (name: string, op: string, branch: number) =>
    row(name, `sf 011010 ${op} imm19 rt`, "{rt}, {target19}", (c, f) => {
      c.b.branch(branch, c.unsigned(f.sf, c.x(f.rt)), Slot.ZERO, c.pc + 4 * f.imm19, c.pc + 4);
    });
  const bit = (name: string, op: string, one: boolean) =>
    row(name, `bit[5] 011011 ${op} bit[4:0] imm14 rt`, "{rtbit}, #{bit}, {target14}", (c, f) => {
      const { b } = c, sign = b.shl(c.x(f.rt), b.imm(63 - f.bit));
      b.branch(one ? Op.brLt : Op.brGe, sign, Slot.ZERO, c.pc + 4 * f.imm14, c.pc + 4);
    });
  const INDIRECT = [["br", "0000", 0], ["blr", "0001", 1], ["ret", "0010", 2]] as const;
  return [
    row("b", "000101 imm26", "{target26}", (c, f) => c.b.jump(c.pc + 4 * f.imm26)),
    row("bl", "100101 imm26", "{target26}", (c, f) => {
      link(c);
      c.b.jump(c.pc + 4 * f.imm26, JumpHint.CALL);
    }),
    row("b.", "0101010 0 imm19 0 cond", "{target19}", (c, f) => c.branch(f.cond, 4 * f.imm19)),
    zero("cbz", "0", Op.brEq),
    zero("cbnz", "1", Op.brNe),
    bit("tbz", "0", false),
    bit("tbnz", "1", true),
    ...INDIRECT.flatMap(([name, opc, hint]) => [
      row(name, `1101011 ${opc} 11111 000000 rn 00000`, "{rn64}", indirect(hint)),
      // With pointer authentication, which does nothing here.
      ...[["a", "0"], ["b", "1"]].flatMap(([key, m]) =>
        name === "ret"
          ? [row(`reta${key}`, `1101011 ${opc} 11111 00001 ${m} 11111 11111`, "", (c) => {
            c.b.jumpIndirect(c.x(30), -1, JumpHint.RETURN);
          })]
          : [
            row(
              `${name}a${key}z`,
              `1101011 ${opc} 11111 00001 ${m} rn 11111`,
              "{rn64}",
              indirect(hint),
            ),
            row(
              `${name}a${key}`,
              `1101011 1${opc.slice(1)} 11111 00001 ${m} rn rm`,
              "{rn64}, {rm64sp}",
              indirect(hint),
            ),
          ]
      ),
    ]),
  ];
}

/** Pointer authentication on data: signing and authenticating leave the pointer as it is. */
function pointerRows(): A64Row[] {
  const nothing = (c: Lifter) => c.b.state(Op.nop);
  const NAMES = ["pacia", "pacib", "pacda", "pacdb", "autia", "autib", "autda", "autdb"];
  return [
    ...NAMES.flatMap((name, i) => {
      const opcode = i.toString(2).padStart(3, "0");
      return [
        row(name, `1 10 11010110 00001 000 ${opcode} rn rd`, "{rd64}, {rn64sp}", nothing),
        row(
          name.replace(/(.)$/, "z$1"),
          `1 10 11010110 00001 001 ${opcode} 11111 rd`,
          "{rd64}",
          nothing,
        ),
      ];
    }),
    row("xpaci", "1 10 11010110 00001 010000 11111 rd", "{rd64}", nothing),
    row("xpacd", "1 10 11010110 00001 010001 11111 rd", "{rd64}", nothing),
  ];
}

/** Hints with names; all others are NOP too. */
export const HINTS: ReadonlyMap<number, string> = new Map([
  ...([[0, "nop"], [1, "yield"], [2, "wfe"], [3, "wfi"], [4, "sev"], [5, "sevl"]] as const),
  ...([[6, "dgh"], [7, "xpaclri"], [8, "pacia1716"], [10, "pacib1716"], [
    12,
    "autia1716",
  ]] as const),
  ...([[14, "autib1716"], [16, "esb"], [17, "psb"], [18, "tsb"], [20, "csdb"]] as const),
  ...([[24, "paciaz"], [25, "paciasp"], [26, "pacibz"], [27, "pacibsp"]] as const),
  ...([[28, "autiaz"], [29, "autiasp"], [30, "autibz"], [31, "autibsp"]] as const),
  ...([[32, "bti"], [34, "bti"], [36, "bti"], [38, "bti"]] as const),
]);

// ---- system registers ----

/** Number of a system register: the bits o0, op1, CRn, CRm and op2 of MRS. */
const number = (op0: number, op1: number, crn: number, crm: number, op2: number) =>
  (op0 & 1) << 14 | op1 << 11 | crn << 7 | crm << 3 | op2;

/** Cache type: lines of 64 bytes; neither instruction nor data caches need cleaning for new code. */
const CTR = 0xb444_c004;
/** MIDR_EL1: Cortex-A72 r0p3. */
const MIDR = 0x410f_d083;
/** ID_AA64ISAR0_EL1: AES with PMULL, SHA1, SHA2, CRC32, LSE atomics. */
const ISAR0 = 0x0021_1120;
/** ID_AA64ISAR1_EL1: LRCPC (LDAPR). */
const ISAR1 = 0x0010_0000;

const constant = (lo: number, hi = 0) => (c: Lifter): Value => c.b.imm64(lo, hi);

interface SystemRegister {
  name: string;
  read(c: Lifter): Value;
  write?(c: Lifter, value: Value): void;
}

/** What EL0 can read and write. */
export const SYSTEM_REGISTERS: ReadonlyMap<number, SystemRegister> = new Map<
  number,
  SystemRegister
>([
  [number(3, 3, 4, 2, 0), {
    name: "nzcv",
    read: (c) => c.b.shl(c.flags(), c.b.imm(28)),
    write: (c, value) => c.setFlags(c.b.and(c.b.shru(value, c.b.imm(28)), c.b.imm(15))),
  }],
  [number(3, 3, 4, 4, 0), { name: "fpcr", read: readFpcr, write: writeFpcr }],
  [number(3, 3, 4, 4, 1), { name: "fpsr", read: readFpsr, write: writeFpsr }],
  [number(3, 3, 13, 0, 2), {
    name: "tpidr_el0",
    read: (c) => c.b.read(TPIDR_SLOT),
    write: (c, value) => c.b.write(TPIDR_SLOT, value),
  }],
  [number(3, 3, 13, 0, 3), { name: "tpidrro_el0", read: constant(0) }],
  [number(3, 3, 0, 0, 1), { name: "ctr_el0", read: constant(CTR) }],
  [number(3, 3, 0, 0, 7), { name: "dczid_el0", read: constant(Math.log2(ZVA_BYTES / 4)) }],
  [number(3, 3, 14, 0, 0), { name: "cntfrq_el0", read: constant(COUNTER_HZ) }],
  [number(3, 3, 14, 0, 2), {
    name: "cntvct_el0",
    read: (c) => c.b.stateValue(Op.clock, COUNTER_HZ),
  }],
  [number(3, 0, 0, 0, 0), { name: "midr_el1", read: constant(MIDR) }],
  [number(3, 0, 0, 0, 5), { name: "mpidr_el1", read: constant(-0x8000_0000) }],
  [number(3, 0, 0, 0, 6), { name: "revidr_el1", read: constant(0) }],
  [number(3, 0, 0, 4, 0), { name: "id_aa64pfr0_el1", read: constant(0x11) }],
  // What Linux has in place of a version of the debug architecture that it hides.
  [number(3, 0, 0, 5, 0), { name: "id_aa64dfr0_el1", read: constant(6) }],
  [number(3, 0, 0, 6, 0), { name: "id_aa64isar0_el1", read: constant(ISAR0) }],
  [number(3, 0, 0, 6, 1), { name: "id_aa64isar1_el1", read: constant(ISAR1) }],
  [number(3, 0, 0, 7, 0), { name: "id_aa64mmfr0_el1", read: constant(-0x0100_0000) }],
]);
/** Whether it is one of the other ID registers, CRm 2 to 7 of CRn 0, which Linux lets EL0 read as 0. */
const isReservedId = (n: number) =>
  n >>> 7 === number(3, 0, 0, 0, 0) >>> 7 && (n >>> 3 & 15) > 1 && (n >>> 3 & 15) < 8;

function systemRows(): A64Row[] {
  const nothing = (c: Lifter) => c.b.state(Op.nop);
  const fence = (c: Lifter) => c.b.state(Op.fence, 0, 0xff);
  const cache = (name: string, crm: string) =>
    row(name, `1101010100 0 01 011 0111 ${crm} 001 rt`, "{rt64}", nothing);
  return [
    row("svc", "11010100 000 imm16 000 01", "{imm16}", (c) => c.b.trap(Trap.SYSCALL, 4)),
    row("brk", "11010100 001 imm16 000 00", "{imm16}", (c) => c.b.trap(Trap.BREAKPOINT, 4)),
    row("hint", "1101010100 0 00 011 0010 hint 11111", "", nothing),
    row("clrex", "1101010100 0 00 011 0011 crm 010 11111", "{isb}", (c) => {
      c.b.writeNow(Slot.EXCLUSIVE_ADDRESS, c.b.imm(-1));
    }),
    row("dsb", "1101010100 0 00 011 0011 crm 100 11111", "{barrier}", fence),
    row("dmb", "1101010100 0 00 011 0011 crm 101 11111", "{barrier}", fence),
    row("sb", "1101010100 0 00 011 0011 0000 111 11111", "", fence),
    // What is stored to translated code drops it at once; what remains is not to run on in the old block.
    row("isb", "1101010100 0 00 011 0011 crm 110 11111", "{isb}", (c) => {
      c.b.stateAt(Op.invalidate, Slot.ZERO, 0);
      c.b.jump(c.pc + 4);
    }),
    row("dc zva,", "1101010100 0 01 011 0111 0100 001 rt", "{rt64}", (c, f) => {
      const { b } = c, base = b.and(c.x(f.rt), b.imm(-ZVA_BYTES)), zeros = b.vectorConst(0, 0);
      // The block is in one page: this store faults for all of them, at the address that was given.
      b.store(Op.st8, c.x(f.rt), 0, Slot.ZERO);
      for (let at = 0; at < ZVA_BYTES; at += 16) b.storeVector(base, at, zeros);
    }),
    cache("ic ivau,", "0101"),
    cache("dc cvac,", "1010"),
    cache("dc cvau,", "1011"),
    cache("dc cvap,", "1100"),
    cache("dc civac,", "1110"),
    row("msr", "1101010100 0 1 sysreg rt", "{sysreg}, {rt64}", (c, f) => {
      SYSTEM_REGISTERS.get(f.sysreg)!.write!(c, c.x(f.rt));
    }, (f) => SYSTEM_REGISTERS.get(f.sysreg)?.write !== undefined),
    row("mrs", "1101010100 1 1 sysreg rt", "{rt64}, {sysreg}", (c, f) => {
      const register = SYSTEM_REGISTERS.get(f.sysreg);
      c.setX(f.rt, register ? register.read(c) : Slot.ZERO);
    }, (f) => SYSTEM_REGISTERS.has(f.sysreg) || isReservedId(f.sysreg)),
  ];
}

const BACKDOOR_PATTERN = (BACKDOOR_INSTRUCTION >>> 0).toString(2).padStart(32, "0");

/** The rows; the backdoor instruction comes before the MOVZ that it is. */
export const A64_BRANCH = (): A64Row[] => [
  row("trapdoor", BACKDOOR_PATTERN, "", (c) => c.b.trap(Trap.BACKDOOR, 4)),
  ...branchRows(),
  ...pointerRows(),
  ...systemRows(),
];

/**
 * Names of control and status registers, for assembly text; which of them exist is for rv_zicsr.ts to say.
 *
 * Source: The RISC-V Instruction Set Manual, volume II, "CSR Listing", and the listings of the AIA, Sstc, Smstateen,
 * Zkr, V and debug specifications.
 *
 * @module
 */

/** Runs of registers with consecutive numbers; `-` is one without a name. */
const RUNS: Readonly<Record<number, string>> = {
  // User level.
  0x001: "fflags frm fcsr",
  0x008: "vstart vxsat vxrm",
  0x00f: "vcsr",
  0x015: "seed",
  0xc00: "cycle time instret",
  0xc20: "vl vtype vlenb",
  0xc80: "cycleh timeh instreth",
  // Supervisor level.
  0x100: "sstatus - - - sie stvec scounteren - - - senvcfg",
  0x10c: "sstateen0 sstateen1 sstateen2 sstateen3",
  0x114: "sieh",
  0x140: "sscratch sepc scause stval sip",
  0x14d: "stimecmp - - siselect sireg",
  0x154: "siph - - - - - - - stopei stimecmph",
  0x180: "satp",
  0x5a8: "scontext",
  0xda0: "scountovf",
  0xdb0: "stopi",
  // Virtual supervisor level.
  0x200: "vsstatus - - - vsie vstvec",
  0x214: "vsieh",
  0x240: "vsscratch vsepc vscause vstval vsip",
  0x24d: "vstimecmp - - vsiselect vsireg",
  0x254: "vsiph - - - - - - - vstopei vstimecmph",
  0x280: "vsatp",
  0xeb0: "vstopi",
  // Hypervisor.
  0x600: "hstatus - hedeleg hideleg hie htimedelta hcounteren hgeie hvien hvictl henvcfg",
  0x60c: "hstateen0 hstateen1 hstateen2 hstateen3 - - - hidelegh - htimedeltah",
  0x618: "hvienh - henvcfgh - hstateen0h hstateen1h hstateen2h hstateen3h",
  0x643: "htval hip hvip hviprio1 hviprio2 - - htinst",
  0x655: "hviph hviprio1h hviprio2h",
  0x680: "hgatp",
  0x6a8: "hcontext",
  0xe12: "hgeip",
  // Machine level.
  0x300: "mstatus misa medeleg mideleg mie mtvec mcounteren - mvien mvip menvcfg",
  0x30c: "mstateen0 mstateen1 mstateen2 mstateen3 mstatush - - midelegh mieh",
  0x318: "mvienh mviph menvcfgh - mstateen0h mstateen1h mstateen2h mstateen3h mcountinhibit",
  0x340: "mscratch mepc mcause mtval mip - - - - - mtinst mtval2",
  0x350: "miselect mireg - - miph - - - - - - - mtopei",
  0x747: "mseccfg",
  0x757: "mseccfgh",
  0x7a0: "tselect tdata1 tdata2 tdata3 tinfo tcontrol - - mcontext - mscontext",
  0x7b0: "dcsr dpc dscratch0 dscratch1",
  0xb00: "mcycle - minstret",
  0xb80: "mcycleh - minstreth",
  0xf11: "mvendorid marchid mimpid mhartid mconfigptr",
  0xfb0: "mtopi",
};

/** Families: number of the first, prefix, index of the first and of the last, suffix. */
const FAMILIES: [number, string, number, number, string][] = [
  [0x323, "mhpmevent", 3, 31, ""],
  [0x3a0, "pmpcfg", 0, 15, ""],
  [0x3b0, "pmpaddr", 0, 63, ""],
  [0x723, "mhpmevent", 3, 31, "h"],
  [0xb03, "mhpmcounter", 3, 31, ""],
  [0xb83, "mhpmcounter", 3, 31, "h"],
  [0xc03, "hpmcounter", 3, 31, ""],
  [0xc83, "hpmcounter", 3, 31, "h"],
];

let names: Map<number, string> | undefined;

/** Name of the register with this number, or undefined. */
export function csrName(csr: number): string | undefined {
  if (names === undefined) {
    names = new Map();
    for (const [first, run] of Object.entries(RUNS)) {
      for (const [i, name] of run.split(" ").entries()) {
        if (name !== "-") names.set(Number(first) + i, name);
      }
    }
    for (const [first, prefix, from, to, suffix] of FAMILIES) {
      for (let i = from; i <= to; i++) names.set(first + i - from, `${prefix}${i}${suffix}`);
    }
  }
  return names.get(csr);
}

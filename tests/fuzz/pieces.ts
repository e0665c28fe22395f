/**
 * Random operands and straight-line pieces of programs, from the decode tables.
 *
 * A few registers are reserved, others are operands and destinations at random: the base register, which points to
 * memory; loop counters; link registers; and a pair that mixes results into a checksum, so that a wrong value shows
 * even if its register is overwritten later.
 *
 * @module
 */
import { extract, type Fields } from "../../cpu/isa/decoder.ts";
import { accessSize, type Catalogue, catalogueOf } from "./catalogue.ts";
import { type Edge, familyOf } from "./edges.ts";
import { encode, type Encoding } from "./encode.ts";
import { BASE, DATA, DATA_SIZE, dataBlock, edgesOf, POOL, type State, X31_OUT } from "./layout.ts";
import { type Atom, type Item, item, type Label, Part } from "./program.ts";
import { Random } from "./random.ts";

/** What a program is mostly made of. */
export const KINDS = ["int", "float", "edge", "compressed", "atomic", "code"] as const;
/** See {@linkcode KINDS}; "edge" is floating point at the edges, "code" is code that changes itself. */
export type Kind = typeof KINDS[number];

/** Options of a program. */
export interface GeneratorOptions {
  xlen: 32 | 64;
  kind: Kind;
  /** About how many instructions stand in the program; loops execute some of them often. */
  size: number;
  /** Faults, traps and recursion on a stack, for which the harness of host.ts is needed; QEMU can't run them. */
  host?: boolean;
}

/** The integers from `low` to `high`. */
export const range = (low: number, high: number) =>
  Array.from({ length: high - low + 1 }, (_, i) => low + i);

/** Makes the straight-line pieces of one program. */
export class Pieces {
  readonly random: Random;
  readonly catalogue: Catalogue;
  readonly wide: boolean;
  readonly base: number;
  readonly sum: number;
  readonly factor: number;
  readonly counters: number[];
  readonly links: number[];
  /** Stack pointer, depth and link register of recursions; none without the option `host`. */
  readonly recursion: number[] = [];
  readonly reserved: Set<number>;
  /** Offsets from the base register of the pool's doubles and boxed floats. */
  readonly #doubles: number[] = [];
  readonly #singles: number[] = [];
  /** Operands in the pool of instructions at the edges, and their offsets from the base register. */
  readonly #edges: { edge: Edge; at: number }[] = [];
  #hotX: number[];
  #hotF: number[];

  constructor(seed: number, readonly options: GeneratorOptions) {
    const random = this.random = new Random(seed);
    this.catalogue = catalogueOf(options.xlen);
    this.wide = options.xlen === 64;
    this.base = random.between(8, 15);
    const compressed = random.chance(0.2);
    const free = range(1, 31).filter((n) =>
      n !== 2 && n !== this.base && (compressed || n < 8 || n > 15)
    );
    const take = () => free.splice(random.below(free.length), 1)[0];
    this.links = [random.chance(0.5) ? free.shift()! : take(), take()];
    this.sum = take();
    this.factor = take();
    this.counters = [take(), take(), take()];
    if (options.host) {
      // x5 is the other register that calls and returns are told by.
      const five = free.indexOf(5);
      this.recursion = [take(), take(), five >= 0 && free.includes(5) ? 5 : take()];
    }
    this.reserved = new Set([
      this.base,
      this.sum,
      this.factor,
      ...this.counters,
      ...this.links,
      ...this.recursion,
    ]);
    this.#hotX = range(0, random.between(4, 10)).map(() => random.between(0, 31));
    this.#hotF = range(0, random.between(4, 10)).map(() => random.between(0, 31));
  }

  /** Finds out what is where in the pool of a state. */
  usePool(state: State): void {
    const data = new DataView(dataBlock(state).buffer);
    for (let at = POOL; at < X31_OUT; at += 8) {
      const boxed = data.getInt32(at + 4, true) === -1;
      (boxed ? this.#singles : this.#doubles).push(at - (BASE - DATA));
    }
    edgesOf(state.memory).forEach((edge, i) =>
      this.#edges.push({ edge, at: POOL + 24 * i - (BASE - DATA) })
    );
  }

  // ---- operands ----

  /** A register that may be written, of `[low, high]`. */
  destination(low = 0, high = 31): number {
    const ok = (n: number) => n >= low && n <= high && !this.reserved.has(n);
    const hot = this.#hotX.filter(ok);
    if (hot.length > 0 && this.random.chance(0.7)) return this.random.pick(hot);
    return this.random.pick(range(low, high).filter(ok));
  }

  /** A register to read. */
  source(low = 0, high = 31): number {
    const hot = this.#hotX.filter((n) => n >= low && n <= high);
    if (hot.length > 0 && this.random.chance(0.75)) return this.random.pick(hot);
    return this.random.between(low, high);
  }

  floatRegister(low = 0, high = 31): number {
    const hot = this.#hotF.filter((n) => n >= low && n <= high);
    if (hot.length > 0 && this.random.chance(0.75)) return this.random.pick(hot);
    return this.random.between(low, high);
  }

  #bits(width: number): number {
    const { random } = this, all = width === 32 ? -1 : (1 << width) - 1;
    switch (random.below(8)) {
      case 0:
        return 0;
      case 1:
        return all;
      case 2:
        return 1 << (width - 1);
      case 3:
        return all >>> 1;
      case 4:
        return 1 << random.below(width);
      default:
        return random.next() & all;
    }
  }

  /** Random fields of a row. */
  fields(row: Encoding): Fields {
    const { random } = this, { asm } = row.row;
    const fields: Fields = {};
    for (const { name, slices, bias } of row.extractors) {
      const width = slices.reduce((sum, s) => sum + s.width, 0);
      const low = bias, high = bias + 2 ** Math.min(width, 5) - 1;
      if (name === "rd") {
        fields.rd = asm.includes("{frd}")
          ? this.floatRegister(low, high)
          : this.destination(low, high);
      } else if (/^rs[123]$/.test(name)) {
        fields[name] = asm.includes(`{f${name}}`)
          ? this.floatRegister(low, high)
          : this.source(low, high);
      } else if (name === "rm") {
        fields.rm = random.pick([0, 1, 2, 3, 4, 7, 7, 7]);
      } else {
        // Random bits in the encoding, decoded as the table says.
        let bits = row.match;
        const raw = this.#bits(width);
        let used = 0;
        for (const { from, width: w } of slices) {
          bits |= ((raw >>> used) & ((1 << w) - 1)) << from;
          used += w;
        }
        fields[name] = extract(row, bits)[name];
      }
    }
    // Operands that are the same register are where executors go wrong.
    const same = (to: string, from: string, p: number) => {
      const extractor = row.extractors.find((e) => e.name === to);
      if (fields[from] === undefined || extractor === undefined || !random.chance(p)) return;
      if (asm.includes(`{f${to}}`) !== asm.includes(`{f${from}}`)) return;
      if (fields[from] < extractor.bias || (extractor.bias > 0 && fields[from] > 15)) return;
      fields[to] = fields[from];
    };
    same("rs1", "rd", 0.2);
    same("rs2", "rd", 0.15);
    same("rs2", "rs1", 0.1);
    return fields;
  }

  // ---- instructions ----

  /** An instruction by name. */
  atom(name: string, fields: Fields = {}): Atom {
    const { tables } = this.catalogue;
    return { size: tables.row(name).width / 8, bits: tables.assemble(name, fields) };
  }

  /** One whose immediate comes from a label. */
  fixed(name: string, fields: Fields, label: Label, part: number): Atom {
    const row = this.catalogue.tables.row(name);
    return { size: row.width / 8, bits: 0, fix: { row, fields, label, part } };
  }

  /** Instructions that put a constant into x[rd]. */
  constant(rd: number, value: bigint): Atom[] {
    const signed = BigInt.asIntN(this.options.xlen, value);
    if (signed === BigInt.asIntN(32, signed)) {
      const number = Number(signed), high = (number + 0x800) & ~0xfff, low = (number - high) | 0;
      const add = this.wide ? "addiw" : "addi";
      return high === 0
        ? [this.atom("addi", { rd, rs1: 0, imm: low })]
        : [this.atom("lui", { rd, imm: high }), this.atom(add, { rd, rs1: rd, imm: low })];
    }
    const low = BigInt.asIntN(12, signed);
    return [
      ...this.constant(rd, (signed - low) >> 12n),
      this.atom("slli", { rd, rs1: rd, shamt: 12 }),
      this.atom("addi", { rd, rs1: rd, imm: Number(low) }),
    ];
  }

  /** Instructions that put a label's address into x[rd]. */
  addressOf(rd: number, label: Label): Atom[] {
    return this.random.chance(0.5)
      ? [
        this.fixed("lui", { rd }, label, Part.HIGH),
        this.fixed("addi", { rd, rs1: rd }, label, Part.LOW),
      ]
      : [
        this.fixed("auipc", { rd }, label, Part.PC_HIGH),
        this.fixed("addi", { rd, rs1: rd }, label, Part.PC_LOW),
      ];
  }

  /** A random instruction of some rows, that decodes as just that row. */
  any(rows: readonly Encoding[], override: (row: Encoding) => Fields = () => ({})): {
    atom: Atom;
    row: Encoding;
    fields: Fields;
  } {
    for (;;) {
      const row = this.random.pick(rows);
      // Writes of x2 that have no field for it are fine: it is never reserved.
      const fields = { ...this.fields(row), ...override(row) };
      if (row.row.when !== undefined && !row.row.when(fields)) continue;
      const bits = encode(row, fields);
      if (this.catalogue.tables.isa.decode(bits, row.width / 8)?.row !== row.row) continue;
      return { atom: { size: row.width / 8, bits }, row, fields };
    }
  }

  /** Mixes a register into the checksum. */
  fold(register: number): Atom[] {
    return [
      this.atom("add", { rd: this.sum, rs1: this.sum, rs2: register }),
      this.atom("mul", { rd: this.sum, rs1: this.sum, rs2: this.factor }),
    ];
  }

  /** The checksum of what an instruction wrote, sometimes. */
  results(row: Encoding, fields: Fields): Item[] {
    if (fields.rd === undefined || !this.random.chance(0.4)) return [];
    if (row.row.asm.includes("{rd}")) return fields.rd === 0 ? [] : [item(this.fold(fields.rd))];
    if (!row.row.asm.includes("{frd}")) return [];
    const temp = this.destination(1);
    if (this.wide) {
      return [item([this.atom("fmv.x.d", { rd: temp, rs1: fields.rd }), ...this.fold(temp)])];
    }
    const at = 8 * this.random.below(100), rs1 = this.base;
    return [item([
      this.atom("fsd", { rs2: fields.rd, rs1, imm: at }),
      this.atom("lw", { rd: temp, rs1, imm: at }),
      ...this.fold(temp),
      this.atom("lw", { rd: temp, rs1, imm: at + 4 }),
      ...this.fold(temp),
    ])];
  }

  plain(rows = this.catalogue.plain): Item[] {
    const { atom, row, fields } = this.any(
      rows,
      (row) => row.row.name === "ctzw" ? { rs1: this.destination(1) } : {},
    );
    if (row.row.name === "ctzw") {
      // See QEMU_CPU: not with a low word that is 0.
      const bit = { rd: fields.rs1, rs1: fields.rs1, shamt: this.random.below(32) };
      return [item([this.atom("bseti", bit), atom]), ...this.results(row, fields)];
    }
    const refresh = this.random.chance(0.15) && fields.rs1 !== undefined
      ? this.loadFromPool(fields.rs1)
      : [];
    return [...refresh, item([atom]), ...this.results(row, fields)];
  }

  /** An integer instruction with operands at the ends of their ranges. */
  extreme(): Item[] {
    const { random } = this, bits = this.wide && random.chance(0.7) ? 64n : 32n;
    const [a, b] = [this.destination(1), this.destination(1)];
    const value = () =>
      random.pick([0n, 1n, -1n, -1n, -(1n << (bits - 1n)), (1n << (bits - 1n)) - 1n, 1n << 32n]);
    const wanted = random.chance(0.5) ? /^(div|rem|mulh)/ : /./;
    const { atom, row, fields } = this.any(
      this.catalogue.single.filter(({ row }) => row.asm.includes("{rs2}") && wanted.test(row.name)),
      () => ({ rs1: a, rs2: b }),
    );
    return [
      // The quotient that overflows is one pair of them all.
      item(
        random.chance(0.3)
          ? [...this.constant(a, -(1n << (bits - 1n))), ...this.constant(b, -1n), atom]
          : [...this.constant(a, value()), ...this.constant(b, value()), atom],
      ),
      ...this.results(row, fields),
    ];
  }

  /** Loads a fresh operand, if its register may be written. */
  loadFromPool(rd: number): Item[] {
    if (this.reserved.has(rd)) return [];
    const imm = -8 * this.random.between(1, 256);
    return [item([this.atom(this.wide ? "ld" : "lw", { rd, rs1: this.base, imm })])];
  }

  float(): Item[] {
    const { random, catalogue } = this;
    const arithmetic = random.chance(0.4);
    const { atom, row, fields } = this.any(arithmetic ? catalogue.arithmetic : catalogue.float);
    const operands = ["rs1", "rs2", "rs3"].filter((name) => fields[name] !== undefined);
    const loads = operands.filter(() => random.chance(arithmetic ? 0.85 : 0.6)).flatMap((name) => {
      if (!row.row.asm.includes(`{f${name}}`)) return this.loadFromPool(fields[name]);
      const fitting = row.row.name.includes(".d") ? this.#doubles : this.#singles;
      const imm = fitting.length > 0 && random.chance(0.8)
        ? random.pick(fitting)
        : -8 * random.between(1, 256);
      const load = random.chance(0.9) ? "fld" : "flw";
      return [item([this.atom(load, { rd: fields[name], rs1: this.base, imm })])];
    });
    return [...loads, ...this.flagged(atom, arithmetic ? 0.5 : 0.3), ...this.results(row, fields)];
  }

  /** An instruction, and with probability `p` its flags. */
  flagged(atom: Atom, p: number): Item[] {
    const { random } = this;
    if (!random.chance(p)) return [item([atom])];
    // Its own flags, from none or from inexact: what host arithmetic must see to.
    const rd = this.destination(1), uimm = random.pick([0, 1, 1, 1, random.below(32)]);
    return [
      item([
        this.atom("csrrwi", { csr: 1, rd: 0, uimm }),
        atom,
        this.atom("csrrs", { csr: 1, rd, rs1: 0 }),
        ...this.fold(rd),
      ]),
    ];
  }

  /** A floating-point instruction with operands at its edges. */
  edge(): Item[] {
    const { random } = this;
    const { edge, at } = random.pick(this.#edges);
    const rows = this.catalogue.float.filter(({ row }) => {
      const found = familyOf(row.name);
      return found?.family === edge.family && found.bits === edge.bits &&
        // Comparisons that set flags are few among those that only choose or move.
        (edge.family !== "compare" || !random.chance(0.6) || /^f(eq|lt|le)/.test(row.name));
    });
    const { atom, row, fields } = this.any(rows, () => {
      const [rs1, rs2, rs3] = [0, 1, 2].map(() => this.floatRegister());
      const whole = edge.family === "fromInteger";
      // Operands that are the same register lose the edge.
      if (!whole && new Set([rs1, rs2, rs3]).size < 3) return {};
      return { rs1: whole ? this.destination(1) : rs1, rs2, rs3 };
    });
    const loads = ["rs1", "rs2", "rs3"].flatMap((name, i) => {
      const rd = fields[name], imm = at + 8 * i;
      if (rd === undefined || !row.row.asm.includes(`rs${i + 1}}`)) return [];
      if (row.row.asm.includes(`{f${name}}`)) {
        const load = edge.bits === 32 && random.chance(0.3) ? "flw" : "fld";
        return [this.atom(load, { rd, rs1: this.base, imm })];
      }
      return [this.atom(this.wide ? "ld" : "lw", { rd, rs1: this.base, imm })];
    });
    return [item(loads), ...this.flagged(atom, 0.7), ...this.results(row, fields)];
  }

  /** An address for an access of `size` bytes: pool and memory for loads, memory for stores. */
  address(size: number, load: boolean, aligned: number): number {
    const { random } = this, low = load ? DATA + POOL : BASE, high = DATA + DATA_SIZE - 16;
    // Misaligned ones across the page boundary right after the base register's reach, and any.
    if (size > aligned && random.chance(0.1)) return BASE + 0x800 - random.between(1, size - 1);
    const at = random.chance(0.6) ? random.between(low, BASE + 0x7f0) : random.between(low, high);
    return random.chance(0.7) || aligned === size ? at & -size : at & -aligned;
  }

  /** Instructions that make `x[rd]` + `imm` an address as {@linkcode address} says. */
  makeBase(rd: number, imm: number, size: number, load: boolean, aligned = 1): Atom[] {
    const { random, base } = this, value = this.address(size, load, aligned) - imm;
    const distance = value - BASE;
    const high = (value + 0x800) & ~0xfff;
    const constant = [this.atom("lui", { rd, imm: high })];
    if (value !== high) constant.push(this.atom("addi", { rd, rs1: rd, imm: value - high }));
    switch (random.below(4)) {
      case 0:
        return constant;
      case 1: { // An offset that only execution tells.
        const mask = this.atom("andi", {
          rd,
          rs1: this.source(),
          imm: random.below(0x800) & -aligned,
        });
        const start = BASE - imm + (random.below(0x400) & -aligned);
        if (Math.abs(start - BASE) >= 2048) return constant;
        const add = { rd, rs1: rd, rs2: base };
        return [
          mask,
          this.atom("add", add),
          this.atom("addi", { rd, rs1: rd, imm: start - BASE }),
        ];
      }
      default:
        return Math.abs(distance) < 2048
          ? [this.atom("addi", { rd, rs1: base, imm: distance })]
          : constant;
    }
  }

  memory(): Item[] {
    const { random, catalogue: c } = this;
    const float = this.options.kind === "float";
    const short = random.chance(this.options.kind === "compressed" ? 0.7 : 0.1);
    const rows = (short ? c.shortMemory : random.chance(0.5) ? c.loads : c.stores)
      .filter((row) => float || this.options.kind === "compressed" || !/f/.test(row.row.name));
    const row = random.pick(rows), load = /^(c\.)?f?l/.test(row.row.name);
    const size = accessSize(row.row.name), direct = random.chance(0.3);
    const sp = row.row.asm.includes("(sp)");
    let base = sp ? 2 : direct ? this.base : this.destination(short ? 8 : 1, short ? 15 : 31);
    const made = this.any([row], () => {
      const address = this.address(size, load, 1) - BASE;
      const near = address >= -2048 && address < 2048;
      if (sp) return {};
      if (direct && !short && near) return { rs1: base, imm: address };
      if (direct) base = this.destination(short ? 8 : 1, short ? 15 : 31);
      return { rs1: base };
    });
    const setup = base === this.base ? [] : this.makeBase(base, made.fields.imm, size, load);
    return [item([...setup, made.atom]), ...this.results(made.row, made.fields)];
  }

  csr(): Item[] {
    const { random } = this;
    const setup: Atom[] = [];
    const made = this.any(this.catalogue.csr, ({ row: { name } }) => {
      const csr = random.pick([1, 1, 1, 2, 3]), rd = this.destination();
      const mode = random.chance(0.6) ? 0 : random.below(5);
      setup.length = 0;
      if (name.endsWith("i")) {
        // Only values that leave a valid rounding mode.
        if (csr !== 2) return { csr, rd };
        return { csr, rd, uimm: name === "csrrsi" ? 0 : mode };
      }
      if (csr === 1 || name === "csrrc") return { csr, rd };
      const rs1 = this.destination(1), upper = random.chance(0.5) ? 0 : 0x300;
      const value = name === "csrrw"
        ? csr === 3 ? mode << 5 | random.below(32) | upper : mode | upper
        : csr === 3
        ? random.below(32)
        : 0;
      setup.push(this.atom("addi", { rd: rs1, rs1: 0, imm: value }));
      return { csr, rd, rs1 };
    });
    return [item([...setup, made.atom]), ...this.results(made.row, made.fields)];
  }

  atomic(): Item[] {
    const { random, wide } = this, rs1 = this.destination(1);
    if (random.chance(0.6)) {
      const made = this.any(this.catalogue.amo, () => ({ rs1 }));
      const size = made.row.row.name.includes(".d") ? 8 : 4;
      const setup = this.makeBase(rs1, 0, size, false, size);
      return [item([...setup, made.atom]), ...this.results(made.row, made.fields)];
    }
    const w = wide && random.chance(0.5) ? "d" : "w", size = w === "d" ? 8 : 4;
    const order = { aq: random.below(2), rl: random.below(2) };
    const other = () => {
      for (;;) {
        const rd = this.destination();
        if (rd !== rs1) return rd;
      }
    };
    const reserve = this.atom(`lr.${w}`, { rd: other(), rs1, ...order });
    const conditional = () => {
      const rd = random.chance(0.2) ? rs1 : other();
      return [
        this.atom(`sc.${w}`, { rd, rs1, rs2: this.source(), ...order }),
        ...(rd === 0 ? [] : this.fold(rd)),
      ];
    };
    const setup = this.makeBase(rs1, 0, size, false, size);
    // What stands between the two, in the order of its danger to the reservation.
    const between: Atom[][] = [
      [],
      [],
      [this.atom("addi", { rd: other(), rs1: this.source(), imm: 1 })],
      [this.atom(`s${w}`, { rs1, rs2: this.source(), imm: 0 })],
      [this.atom(`s${w}`, { rs1: this.base, rs2: this.source(), imm: size * random.below(200) })],
      [this.atom(`amoadd.${w}`, { rd: other(), rs1, rs2: this.source() })],
    ];
    switch (random.below(8)) {
      case 0: // No reservation.
        return [item([...setup, ...conditional()])];
      case 1: // It is used up by the first.
        return [
          item([...setup, reserve, this.atom(`sc.${w}`, { rs1, rs2: 0 }), ...conditional()]),
        ];
      case 2: // Another address.
        return [
          item([
            ...setup,
            reserve,
            ...this.makeBase(rs1, 0, size, false, size),
            ...conditional(),
          ]),
        ];
      default:
        return [item([...setup, reserve, ...random.pick(between), ...conditional()])];
    }
  }
}
